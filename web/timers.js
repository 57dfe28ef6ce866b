// All timers by name, so that setting one again replaces it and none is forgotten.

const timers = new Map();

export function after(name, ms, action) {
  cancel(name);
  const run = () => {
    timers.delete(name);
    action();
  };
  timers.set(name, setTimeout(run, ms));
}

export function cancel(name) {
  clearTimeout(timers.get(name));
  timers.delete(name);
}

export function isSet(name) {
  return timers.has(name);
}
