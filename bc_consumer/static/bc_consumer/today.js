// Refreshes the first page every second: answers, figures, notices, the journal's newest entries.

const REFRESH = 1000; // milliseconds
const TIMEOUT = 5000;

const live = document.getElementById("live");
const connection = document.getElementById("connection");
const pause = document.getElementById("pause");
let paused = false;
let shownState = "";

function tell(state) {
  if (state === shownState) return; // setting it again would make screen readers repeat it
  shownState = state;
  connection.textContent = connection.dataset[state];
  connection.className = state;
}

function part(root, name) {
  return root.querySelector(`[data-part="${name}"]`);
}

function swap(fresh, name) {
  patch(part(live, name), part(fresh, name));
}

// Replaces the smallest elements that differ, and nothing that has the focus: what says the same
// stays, with focus and selection, and screen readers hear nothing of it.
function patch(now, next) {
  if (now.isEqualNode(next)) return;
  const [ours, theirs] = [[...now.children], [...next.children]];
  const alike = ours.length > 0 && ours.length === theirs.length && !hasText(now) && !hasText(next)
    && ours.every((one, place) => one.tagName === theirs[place].tagName);
  if (alike) {
    [...next.attributes].forEach(({ name, value }) => now.setAttribute(name, value));
    ours.forEach((one, place) => patch(one, theirs[place]));
  } else if (!now.contains(document.activeElement)) {
    now.replaceWith(next);
  }
}

function hasText(element) {
  return [...element.childNodes].some(
    (one) => one.nodeType === Node.TEXT_NODE && one.nodeValue.trim() !== "",
  );
}

function mergeJournal(fresh) {
  const now = part(live, "journal");
  const next = part(fresh, "journal");
  if (now.tagName !== next.tagName) {
    now.replaceWith(next);
    next.querySelectorAll("[data-entry]").forEach((entry) => entry.classList.add("fresh"));
    return;
  }
  if (next.tagName !== "OL") {
    swap(fresh, "journal");
    return;
  }
  const known = new Map([...now.children].map((entry) => [entry.dataset.entry, entry]));
  const wanted = [...next.children].map((entry) => {
    const old = known.get(entry.dataset.entry);
    if (old === undefined) entry.classList.add("fresh");
    else if (old.innerHTML === entry.innerHTML) return old;
    return entry;
  });
  // Remaining entries are left untouched, which preserves focus and selection.
  const kept = new Set(wanted);
  [...now.children].forEach((entry) => kept.has(entry) || entry.remove());
  wanted.forEach((entry, place) => {
    if (now.children[place] !== entry) now.insertBefore(entry, now.children[place] ?? null);
  });
}

async function refresh() {
  const answer = await fetch(live.dataset.url, {
    credentials: "same-origin",
    signal: AbortSignal.timeout(TIMEOUT),
  });
  if (answer.status === 403) {
    location.reload(); // logged out: the page redirects to the login
    return;
  }
  if (!answer.ok) throw new Error(`${answer.status}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (paused) return;
  swap(fresh, "answers");
  swap(fresh, "figures");
  swap(fresh, "notices");
  mergeJournal(fresh);
  tell("live");
}

async function loop() {
  if (!paused && !document.hidden) {
    try {
      await refresh();
    } catch {
      tell("lost");
    }
  }
  setTimeout(loop, REFRESH);
}

pause.addEventListener("click", () => {
  paused = !paused;
  pause.textContent = paused ? pause.dataset.goOn : pause.dataset.pause;
  if (paused) tell("paused");
});
pause.hidden = false;
loop();
