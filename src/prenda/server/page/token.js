// The dialog that asks for the server's access token.

import { hasToken, useToken } from "./server.js";
import { text } from "./texts.js";

const dialog = document.getElementById("token");
const field = document.getElementById("token-value");

/** @param {() => void} onToken Called once a token is given. */
export function listen(onToken) {
  document.getElementById("token-cancel").addEventListener("click", () => dialog.close());
  document.getElementById("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    useToken(field.value.trim());
    field.value = "";
    dialog.close();
    onToken();
  });
}

export function ask() {
  if (dialog.open) return;
  document.getElementById("token-wrong").textContent = hasToken() ? text("tokenWrong") : "";
  dialog.showModal();
}
