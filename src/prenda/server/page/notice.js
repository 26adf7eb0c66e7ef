// The line that says what stands in the way, with a button; and words for screen readers.

const notice = document.getElementById("notice");
const button = document.getElementById("notice-button");

let words = null; // functions, so that the line can change its language
let action = null;

button.addEventListener("click", () => action?.press());

/**
 * Show a line.
 *
 * @param {() => string} line
 * @param {{label: () => string, press: () => void} | null} act A button beside it.
 */
export function show(line, act = null) {
  words = line;
  action = act;
  redraw();
  announce(line());
}

export function hide() {
  words = action = null;
  redraw();
}

export function redraw() {
  if (!words && notice.contains(document.activeElement)) document.getElementById("choose").focus();
  notice.hidden = !words;
  document.getElementById("notice-text").textContent = words?.() ?? "";
  button.hidden = !action;
  button.textContent = action?.label() ?? "";
}

/** Let screen readers say something. */
export function announce(line) {
  document.getElementById("status").textContent = line;
}
