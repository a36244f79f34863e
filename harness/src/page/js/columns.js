// Columns of numbers, and how to find a place in them.

const payload = JSON.parse(document.getElementById('data').textContent);

/** Times from the difference of each to the one before. */
const times = (differences) => {
  const sums = new Float64Array(differences.length);
  let at = 0;
  for (let index = 0; index < sums.length; index += 1) {
    at += differences[index];
    sums[index] = at;
  }
  return sums;
};

/** The first place in `sorted` that holds `value` or more. */
const firstFrom = (sorted, value) => {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
};

/** The first place in `sorted` that holds more than `value`. */
const firstAfter = (sorted, value) => {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low;
};

const range = (count) => Array.from({ length: count }, (_, index) => index);

/** Lays intervals into as few rows as hold them without overlap. They ascend by begin. */
const stack = (count, from, until, gap = 0) => {
  const ends = [];
  const row = new Int32Array(count);
  for (let index = 0; index < count; index += 1) {
    let free = ends.findIndex((end) => end + gap <= from(index));
    if (free < 0) free = ends.push(0) - 1;
    ends[free] = until(index);
    row[index] = free;
  }
  return { row, rows: ends.length };
};

