// What is looked at: a window of time, a moment in it, and what was chosen.

const view = {
  from: 0,
  until: payload.end,
  cursor: 0,
  /** A row of the diagram, chosen by keyboard; -1 for none. */
  row: -1,
  /** What was chosen: `{ kind, index }`. */
  chosen: null,
  showsMessages: true,
};

const SHORTEST = 20_000; // nanoseconds: no two events are worth telling apart below that
const isStill = matchMedia('(prefers-reduced-motion: reduce)');
const listeners = [];
let wanted = { window: true, cursor: true };
let isDue = false;

/** Calls `listener(changed)` before the next frame after a change. */
const onChange = (listener) => listeners.push(listener);

const changed = (what) => {
  wanted = { ...wanted, ...what };
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    const now = wanted;
    wanted = {};
    for (const listener of listeners) listener(now);
  });
};

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

const setWindow = (from, until) => {
  const span = clamp(until - from, SHORTEST, payload.end);
  const middle = (from + until) / 2;
  view.from = clamp(middle - span / 2, 0, Math.max(0, payload.end - span));
  view.until = view.from + span;
  changed({ window: true });
};

const setCursor = (at) => {
  view.cursor = clamp(Math.round(at), 0, payload.end);
  changed({ cursor: true });
};

/** Moves the window, if need be, so that `at` is in it. */
const reveal = (at) => {
  const span = view.until - view.from;
  const margin = span * 0.08;
  if (at < view.from || at > view.until) setWindow(at - span / 2, at + span / 2);
  else if (at < view.from + margin) setWindow(at - margin, at - margin + span);
  else if (at > view.until - margin) setWindow(at + margin - span, at + margin);
};

const zoom = (factor, around = view.cursor) => {
  const span = clamp((view.until - view.from) * factor, SHORTEST, payload.end);
  const share = clamp((around - view.from) / (view.until - view.from), 0, 1);
  setWindow(around - share * span, around + (1 - share) * span);
};

/** Goes to a window in a quarter of a second, or at once for who prefers no motion. */
let glideNumber = 0;
const glide = (from, until) => {
  glideNumber += 1;
  if (isStill.matches) {
    setWindow(from, until);
    return;
  }
  const number = glideNumber;
  const begin = { from: view.from, until: view.until, at: performance.now() };
  const step = (now) => {
    if (number !== glideNumber) return;
    const share = clamp((now - begin.at) / 240, 0, 1);
    const eased = 1 - (1 - share) ** 3;
    setWindow(begin.from + (from - begin.from) * eased, begin.until + (until - begin.until) * eased);
    if (share < 1) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
};

const choose = (item) => {
  view.chosen = item;
  changed({ window: true, cursor: true, chosen: true });
};

