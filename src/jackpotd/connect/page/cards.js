// The jackpots on the page: a card for each, with its pots, its state, and the player's switch where there is one.
// Names and ids come from outside: they are only ever written as text.

import { Figure } from "./figures.js";
import { formatted, shownAs } from "./money.js";

const FLASH_MS = 6000;
const WIN_MARK = "won";

/** A copy of a template of the page, and a way to its parts. */
export function fromTemplate(id) {
  const element = document.getElementById(id).content.firstElementChild.cloneNode(true);
  return { element, part: (selector) => element.querySelector(selector) };
}

/**
 * One jackpot.
 *
 * @param id       the instance's
 * @param title    what it is called here
 * @param currency the player's
 * @param onSwitch called with the card, whether to opt in, and the chosen contribution or undefined
 */
export class Card {
  #part;
  #currency;
  #pots = new Map();
  #limits = null;
  #isOptedIn = false;
  #isWaiting = false;
  #flash = 0;

  constructor(id, title, currency, onSwitch) {
    const { element, part } = fromTemplate("jackpot");
    this.id = id;
    this.element = element;
    this.#part = part;
    this.#currency = currency;
    element.dataset.instance = id;
    this.rename(title);
    part("h3").id = `title-${id}`;
    element.setAttribute("aria-labelledby", `title-${id}`);
    part(".switch").addEventListener("click", () => {
      if (!this.#isWaiting) onSwitch(this, !this.#isOptedIn, this.#preferred());
    });
  }

  get title() {
    return this.#part("h3").textContent;
  }

  rename(title) {
    this.#part("h3").textContent = title;
  }

  /** What an update, or a read of the instance, says. */
  show(instance, multipliers) {
    this.element.dataset.status = instance.status;
    this.#part(".badge").textContent = instance.status;
    for (const pot of instance.pots ?? []) {
      const { amount, currency } = shownAs(pot.current_value, instance.currency, this.#currency, multipliers);
      this.#figure(String(pot.id)).show(amount, currency);
    }
    this.#showRound(instance);
  }

  #figure(potId) {
    const known = this.#pots.get(potId);
    if (known) return known.figure;
    const { element, part } = fromTemplate("pot");
    element.dataset.pot = potId;
    part("dt").textContent = potId;
    this.#part(".pots").append(element);
    const figure = new Figure(part(".figure"));
    this.#pots.set(potId, { element, figure });
    return figure;
  }

  #showRound({ timestamp_end: end }) {
    const line = this.#part(".round");
    line.hidden = !(end > 0);
    if (!line.hidden) line.textContent = `Ends ${new Date(end).toLocaleString()}`;
  }

  /** Marks the pots that were won for a while; a pot that has no place of its own marks the whole card. */
  celebrate(potIds) {
    const marked = [this.element, ...potIds.map((id) => this.#pots.get(id)?.element).filter(Boolean)];
    for (const element of marked) element.classList.add(WIN_MARK);
    clearTimeout(this.#flash);
    this.#flash = setTimeout(() => {
      for (const element of [this.element, ...this.element.querySelectorAll(`.${WIN_MARK}`)]) {
        element.classList.remove(WIN_MARK);
      }
    }, FLASH_MS);
  }

  /** Shows the switch where players decide: whether they take part, or how much they contribute. */
  offer(instance) {
    const limits = instance.contribution_type?.Variable;
    this.#part(".opt-in").hidden = !(instance.opt_in_required || limits);
    if (limits) this.#limit(limits, instance.currency);
    this.optedIn(Boolean(instance.optin_status?.opted_in));
    const preferred = instance.optin_status?.preferred_contribution_value;
    if (limits && preferred) this.#part(".preferred input").value = String(Number(preferred));
  }

  #limit(limits, currency) {
    this.#limits = { min: Number(limits.min), max: Number(limits.max) };
    const input = this.#part(".preferred input");
    input.min = String(this.#limits.min);
    input.max = String(this.#limits.max);
    input.step = "any";
    input.value = String(Number(limits.default));
    const range = `${formatted(this.#limits.min, currency)} to ${formatted(this.#limits.max, currency)}`;
    this.#part(".preferred span").textContent = `For each bet, ${range}`;
    this.#part(".preferred").hidden = false;
  }

  #preferred() {
    const input = this.#part(".preferred input");
    return this.#limits && input.value !== "" ? Number(input.value) : undefined;
  }

  optedIn(isOptedIn) {
    this.#isOptedIn = isOptedIn;
    const button = this.#part(".switch");
    button.setAttribute("aria-checked", String(isOptedIn));
    this.#part(".words").textContent = isOptedIn ? "You take part" : "Take part";
    this.waiting(false);
    this.problem("");
  }

  /** While the server has not answered, the switch takes no other click; it stays where the keyboard is. */
  waiting(isWaiting) {
    this.#isWaiting = isWaiting;
    this.#part(".switch").setAttribute("aria-disabled", String(isWaiting));
  }

  problem(text) {
    this.#part(".problem").textContent = text;
  }
}
