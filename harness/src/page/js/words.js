// Numbers and states in words.

const MS = 1e6;

/** Nanoseconds as milliseconds, to the microsecond. */
const millis = (nanos) => `${(nanos / MS).toFixed(3)} ms`;

/** A length of time, short. */
const length = (nanos) => {
  if (nanos >= 1e9) return `${(nanos / 1e9).toFixed(2)} s`;
  if (nanos >= 1e6) return `${(nanos / 1e6).toFixed(2)} ms`;
  return `${(nanos / 1e3).toFixed(0)} µs`;
};

const ROLES = ['follower', 'candidate', 'leader', 'replica'];
const [FOLLOWER, CANDIDATE, LEADER, REPLICA] = [0, 1, 2, 3];
const CONDITIONS = ['up', 'paused', 'down'];
const [UP, PAUSED, DOWN] = [0, 1, 2];
const [DONE, REFUSED, UNKNOWN] = [0, 1, 2];
const ENDS = ['done', 'refused', 'outcome unknown'];
const [READ, WRITE] = [0, 1];
const EVENTS = ['boot', 'death', 'fault', 'request', 'disk'];

const CIRCLED = '①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳';
const circled = (number) => CIRCLED[number - 1] ?? `(${number})`;

const make = (name, properties = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
};

