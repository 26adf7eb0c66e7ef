// Buttons that show the photos of one type, those that are unsure, or those that could not be read.

import { label, sortedTypes } from "./model.js";
import { FAILED, UNSURE } from "./photo.js";
import { number, text } from "./texts.js";

const ALL = ":all";

export class Filters {
  chosen = ALL;

  constructor(element, onChoice) {
    this.element = element;
    element.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) this.choose(button.value, onChoice);
    });
  }

  choose(group, onChoice) {
    this.chosen = group;
    onChoice();
  }

  shows(photo) {
    return this.chosen === ALL || photo.group === this.chosen;
  }

  /** Write a button for each group that has photos; the chosen one stays where it has none any more. */
  draw(photos) {
    const counts = new Map([[ALL, photos.length]]);
    for (const { group } of photos) if (group) counts.set(group, (counts.get(group) ?? 0) + 1);
    const known = sortedTypes();
    const others = [...counts.keys()].filter((group) => !group.startsWith(":") && !known.includes(group));
    const all = [ALL, ...known, ...others, UNSURE, FAILED];
    const groups = all.filter((group) => counts.has(group) || group === this.chosen);
    const buttons = new Map([...this.element.children].map((button) => [button.value, button]));
    const wanted = groups.map((group) => this.button(buttons.get(group), group, counts.get(group) ?? 0));
    for (const button of this.element.children) if (!wanted.includes(button)) button.remove();
    wanted.forEach((button, place) => {
      const there = this.element.children[place] ?? null;
      if (there !== button) this.element.insertBefore(button, there); // a button in its place keeps the focus
    });
  }

  button(found, group, count) {
    const button = found ?? document.createElement("button");
    if (!found) button.append(document.createElement("span"), " ", document.createElement("span"));
    button.type = "button";
    button.value = group;
    button.className = { [UNSURE]: "of-unsure", [FAILED]: "of-failed" }[group] ?? "";
    button.setAttribute("aria-pressed", String(group === this.chosen));
    button.firstElementChild.textContent = groupLabel(group);
    button.lastElementChild.textContent = number(count);
    return button;
  }
}

function groupLabel(group) {
  return { [ALL]: text("all"), [UNSURE]: text("unsure"), [FAILED]: text("failed") }[group] ?? label(group);
}
