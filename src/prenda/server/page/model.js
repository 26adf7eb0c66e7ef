// The model that the server answers with: its types and their names.

import { currentLanguage } from "./texts.js";

export const model = { name: null, version: null, input: null, types: [], corrections: false, token: false };

const labels = new Map();

/** Take over what the server says about its model. */
export function describe(found) {
  model.name = found.name;
  model.version = found.registry_version ?? found.version;
  model.input = found.input;
  model.types = found.types.map(({ type }) => type);
  model.corrections = Boolean(found.keeps_corrections);
  model.token = Boolean(found.needs_token);
  for (const { type, labels: names } of found.types) labels.set(type, names);
}

/** Remember the names of an answer's types: the server may have changed its model since. */
export function learn(answer) {
  for (const { type, labels: names } of answer.guesses) labels.set(type, names);
}

/** Return whether an answer comes from another model than the one described. */
export function isOther({ name, version, registry_version: registered }) {
  return name !== model.name || (registered ?? version) !== model.version;
}

export function label(type) {
  return labels.get(type)?.[currentLanguage()] ?? type;
}

export function capital(words) {
  return words.charAt(0).toLocaleUpperCase(currentLanguage()) + words.slice(1);
}

/** Return all types in the order of their names. */
export function sortedTypes() {
  return [...model.types].sort((a, b) => label(a).localeCompare(label(b), currentLanguage()));
}
