// What the page remembers from one visit to the next: a name, a language, two switches. Nothing anybody said.

// A browser may forbid this (a private window, a strict setting); then the page forgets, and does all else as ever.
export function recall(key) {
  try {
    return localStorage.getItem(`roomd.${key}`) ?? '';
  } catch {
    return '';
  }
}

export function keep(key, value) {
  try {
    if (value === '') localStorage.removeItem(`roomd.${key}`);
    else localStorage.setItem(`roomd.${key}`, value);
  } catch {
    // It is kept nowhere, which is what was asked for.
  }
}
