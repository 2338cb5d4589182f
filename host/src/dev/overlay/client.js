// Keeps a page of an app in step with `typecase dev`: reloads it when another release serves, shows over it what is
// wrong with the newest source. Works under strict policies: no inline styles, no HTML from text.
if (window.typecaseDev) return;
window.typecaseDev = true;

const own = new URL(document.currentScript.src).searchParams;
const isPage = own.has("page");
const request = own.get("request");
let mark = own.get("serving");
let shown = null;
let dismissed = null;
let source = null;
let waiting = 0;

const host = document.createElement("typecase-dev");
const root = host.attachShadow({ mode: "open" });
const sheet = new CSSStyleSheet();
sheet.replaceSync(STYLE);
root.adoptedStyleSheets = [sheet];
document.documentElement.append(host);

function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function reload(to) {
  // A page from a service worker's cache never becomes the new one: once is enough.
  const key = "typecase-dev-reloaded-for";
  try {
    if (sessionStorage.getItem(key) === to) return;
    sessionStorage.setItem(key, to);
  } catch {}
  location.reload();
}

function freshStyles() {
  for (const link of document.querySelectorAll("link[rel~=stylesheet][href]")) {
    const url = new URL(link.href);
    if (url.origin !== location.origin) continue;
    url.searchParams.set("typecase-dev", mark);
    // The old sheet goes when the new one is there: no flash of a page without style.
    const next = link.cloneNode();
    next.href = url.href;
    next.addEventListener("load", () => link.remove());
    next.addEventListener("error", () => link.remove());
    link.after(next);
  }
}

function badge(text) {
  root.querySelector(".badge")?.remove();
  if (text) root.append(element("div", "badge", text));
}

function overlay(trouble) {
  root.querySelector(".sheet")?.remove();
  if (!trouble) return;
  const close = element("button", "", "×");
  close.title = "Close (Esc)";
  close.addEventListener("click", dismiss);
  const header = element("header", "", element("h1", "", trouble.title), element("p", "", trouble.hint), close);
  const card = element("section", "card", header);
  card.setAttribute("role", "alertdialog");
  card.setAttribute("aria-label", trouble.title);
  if (trouble.text.length > 0) {
    card.append(element("pre", "", ...trouble.text.map(([style, text]) => element("span", style, text))));
  }
  card.append(element("footer", "", element("span", "", "typecase dev"), element("span", "", trouble.note)));
  root.append(element("div", "sheet", card));
}

function dismiss() {
  dismissed = shown;
  overlay(null);
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && root.querySelector(".sheet")) dismiss();
});

function take(state) {
  clearTimeout(waiting);
  const trouble = state.trouble ?? state.crash;
  // Who closed the last one wants to know of the next.
  if (state.building) dismissed = null;
  const text = JSON.stringify(trouble);
  if (isPage) {
    // The page was made for one moment; whatever comes next, the server has a better answer.
    const serves = !state.trouble && !state.serving.endsWith(".none");
    if (serves || state.serving !== mark || (shown !== null && shown !== text)) location.reload();
    shown = text;
  } else if (state.serving !== mark && !state.serving.endsWith(".none") && !state.trouble) {
    if (state.stylesSince !== mark) return reload(state.serving);
    mark = state.serving;
    freshStyles();
  }
  if (!isPage && text !== shown) {
    shown = text;
    if (text !== dismissed) overlay(trouble);
  }
  badge(null);
  // What takes no time needs no badge.
  if (state.building) waiting = setTimeout(() => badge("building…"), 400);
}

function listen() {
  if (source || document.hidden) return;
  source = new EventSource(request ? `${EVENTS}?request=${request}` : EVENTS);
  source.onmessage = (event) => take(JSON.parse(event.data));
  source.onerror = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => badge("typecase dev has ended"), 2000);
    if (source.readyState === EventSource.CLOSED) {
      source = null;
      setTimeout(listen, 2000);
    }
  };
}

// Browsers open few connections to one server: pages that nobody looks at keep none.
document.addEventListener("visibilitychange", () => {
  if (document.hidden && source) {
    source.close();
    source = null;
    clearTimeout(waiting);
  } else {
    listen();
  }
});
listen();
