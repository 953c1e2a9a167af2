// Keeps parts of a page fresh while something is at work, and selects all rows of a list at once.
// A part names the address of its content, and the class that something in it has meanwhile.

const REFRESH = 1000; // milliseconds
const TIMEOUT = 5000;

// Once the session has ended the answer is the login page: then the whole page leads there.
async function fetchOrLogIn(url, options) {
  const answer = await fetch(url, options);
  if (!answer.redirected) return answer;
  location.reload();
  return new Promise(() => {});
}

// What was deleted meanwhile is asked for no more.
class Gone extends Error {}

async function fetched(url) {
  const answer = await fetchOrLogIn(url, {
    credentials: "same-origin",
    signal: AbortSignal.timeout(TIMEOUT),
  });
  if (answer.status === 404) throw new Gone();
  if (!answer.ok) return null;
  return new DOMParser().parseFromString(await answer.text(), "text/html").body;
}

async function refreshed(part) {
  const fresh = await fetched(part.dataset.refresh);
  if (fresh === null) return;
  // What has not changed stays, and with it the reader's place and selection.
  const smaller = [...part.querySelectorAll("[data-part]")].filter(
    (one) => one.parentElement.closest("[data-part]") === null,
  );
  if (!smaller.length) swap(part, fresh);
  smaller.forEach((one) => swap(one, fresh.querySelector(`[data-part="${one.dataset.part}"]`)));
}

function swap(now, next) {
  if (now.innerHTML !== next.innerHTML) now.replaceChildren(...next.childNodes);
}

// Whether the reader has selected or typed something, or opened what would close again.
function isInUse(main) {
  const touched = (one) =>
    one.checked !== one.defaultChecked || one.value !== one.defaultValue;
  return main.querySelector("details[open]") !== null
    || [...main.querySelectorAll("input, textarea")].some(touched);
}

// The lists of a page are not what they were once its action is over. The outcome stays as it is.
async function refreshRest(part) {
  const main = part.closest("main");
  if (!("refreshPage" in part.dataset) || isInUse(main)) return;
  const fresh = (await fetched(location.href))?.querySelector("main");
  if (!fresh || isInUse(main)) return;
  fresh.querySelector(`[data-refresh="${part.dataset.refresh}"]`)?.replaceWith(part);
  main.replaceChildren(...fresh.childNodes);
  main.querySelectorAll("[data-refresh]").forEach(keepFresh);
}

async function keepFresh(part) {
  const atWork = () => part.querySelector(`.${part.dataset.refreshWhile}`) !== null;
  if (!atWork()) return;
  while (atWork()) {
    await new Promise((after) => setTimeout(after, REFRESH));
    if (document.hidden) continue;
    try {
      await refreshed(part);
    } catch (error) {
      if (error instanceof Gone) return;
      // The next look may succeed.
    }
  }
  try {
    await refreshRest(part);
  } catch {
    // The page stays as it was.
  }
}

document.querySelectorAll("[data-refresh]").forEach(keepFresh);
// On the document, because tables arrive by refreshes.
document.addEventListener("change", ({ target }) => {
  if (!target.matches("[data-select-all]")) return;
  target.closest("form").querySelectorAll("tbody input[type=checkbox]").forEach((one) => {
    one.checked = target.checked;
  });
});
