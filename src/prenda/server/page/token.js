// The dialog that asks for the server's access token.

import { hasToken, useToken } from "./server.js";
import { text } from "./texts.js";

const dialog = document.getElementById("token");
const SENDABLE = /^[\x21-\x7e]+$/; // in a header
const field = document.getElementById("token-value");

/** @param {() => void} onToken Called once a token is given. */
export function listen(onToken) {
  document.getElementById("token-cancel").addEventListener("click", () => dialog.close());
  document.getElementById("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const value = field.value.trim();
    field.value = "";
    if (!SENDABLE.test(value)) return wrong();
    useToken(value);
    dialog.close();
    onToken();
  });
}

export function ask() {
  if (dialog.open) return;
  if (hasToken()) wrong();
  else document.getElementById("token-wrong").textContent = "";
  dialog.showModal();
}

function wrong() {
  document.getElementById("token-wrong").textContent = text("tokenWrong");
}
