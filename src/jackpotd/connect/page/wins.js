// Wins as they happen: a banner that is read out, and the list of the latest ones.

import { fromTemplate } from "./cards.js";
import { masked } from "./messages.js";
import { formatted, shownAs } from "./money.js";

const SHOWN_MAX = 20;
const BANNER_MS = 8000;

/**
 * @param currency the player's
 * @param player   whose own wins are told as such
 */
export class Wins {
  #currency;
  #player;
  #banner = document.getElementById("banner");
  #list = document.getElementById("wins");
  #none = document.getElementById("no-wins");
  #hide = 0;

  constructor(currency, player) {
    this.#currency = currency;
    this.#player = player;
    this.#list.replaceChildren();
    this.#none.hidden = false;
    this.#empty();
  }

  /** Shows what one event tells of: all wins in the list, the first in the banner. */
  show(wins, multipliers, titleOf) {
    if (wins.length === 0) return;
    const lines = wins.map((win) => this.#line(win, multipliers, titleOf(win)));
    this.#list.prepend(...lines.map((line) => this.#item(line)));
    while (this.#list.children.length > SHOWN_MAX) this.#list.lastElementChild.remove();
    this.#none.hidden = true;
    this.#announce(lines);
  }

  #line(win, multipliers, title) {
    const { amount, currency } = shownAs(win.amount, win.currency, this.#currency, win.multipliers ?? multipliers);
    return {
      amount: formatted(amount, currency),
      where: win.pot ? `${title}, ${win.pot}` : title,
      player: win.player === this.#player ? "You" : masked(win.player),
      isOwn: win.player === this.#player,
      at: new Date(win.at || Date.now()),
    };
  }

  #item(line) {
    const { element, part } = fromTemplate("win");
    element.classList.toggle("own", line.isOwn);
    part(".amount").textContent = line.amount;
    part(".where").textContent = line.where;
    part(".player").textContent = line.player;
    part("time").dateTime = line.at.toISOString();
    part("time").textContent = line.at.toLocaleTimeString();
    return element;
  }

  #announce([first, ...others]) {
    const more = others.length > 0 ? `, and ${others.length} more` : "";
    const verb = first.isOwn ? "have won" : "has won";
    this.#banner.textContent = `${first.player} ${verb} ${first.amount}: ${first.where}${more}`;
    this.#banner.dataset.state = first.isOwn ? "own" : "won";
    clearTimeout(this.#hide);
    this.#hide = setTimeout(() => this.#empty(), BANNER_MS);
  }

  #empty() {
    this.#banner.dataset.state = "empty";
    this.#banner.textContent = "";
  }
}
