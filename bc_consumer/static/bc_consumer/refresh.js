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

async function refreshed(part) {
  const answer = await fetchOrLogIn(part.dataset.refresh, {
    credentials: "same-origin",
    signal: AbortSignal.timeout(TIMEOUT),
  });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").body;
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

async function keepFresh(part) {
  const atWork = () => part.querySelector(`.${part.dataset.refreshWhile}`) !== null;
  while (atWork()) {
    await new Promise((after) => setTimeout(after, REFRESH));
    if (document.hidden) continue;
    try {
      await refreshed(part);
    } catch {
      // The next look may succeed.
    }
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
