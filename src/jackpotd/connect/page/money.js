// Amounts as a player reads them. Exact sums are the server's; here are figures to look at.

/**
 * An amount in another currency, by multipliers of one base currency; null where one of them is not known.
 */
export function converted(value, from, to, multipliers) {
  if (from === to) return value;
  const source = Number(multipliers?.[from]);
  const target = Number(multipliers?.[to]);
  return source > 0 && target > 0 ? (value / source) * target : null;
}

/**
 * What to show of an amount: in the player's currency, or in its own where that cannot be converted.
 */
export function shownAs(value, from, to, multipliers) {
  const amount = converted(Number(value), from, to, multipliers);
  return amount === null ? { amount: Number(value), currency: from } : { amount, currency: to };
}

const formats = new Map();

/** An amount with its currency, such as €1,000.23; a code that is no currency stands behind the amount. */
export function formatted(amount, currency) {
  if (!formats.has(currency)) formats.set(currency, formatOf(currency));
  return formats.get(currency)(amount);
}

function formatOf(currency) {
  try {
    const format = new Intl.NumberFormat("en-GB", { style: "currency", currency });
    return (amount) => format.format(amount);
  } catch {
    const format = new Intl.NumberFormat("en-GB", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
    return (amount) => `${format.format(amount)} ${currency}`;
  }
}
