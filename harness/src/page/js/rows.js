// Where things stand: rows from top to bottom, time from left to right.

const GUTTER = 132;
const AXIS = 34;

/** Rows of fault bands that touch links. */
const linkBands = bands.filter((band) => band.kind !== 'node');
const linkRows = stack(linkBands.length, (i) => linkBands[i].from, (i) => linkBands[i].until);
linkBands.forEach((band, index) => { band.row = linkRows.row[index]; });

/** Rows of clients: processes that follow each other share one. */
const clients = (() => {
  const lives = new Map();
  for (let index = 0; index < operations.count; index += 1) {
    const process = operations.process[index];
    const life = lives.get(process) ?? { process, from: Infinity, until: 0, own: [] };
    life.from = Math.min(life.from, operations.invoked[index]);
    life.until = Math.max(life.until, operations.returned[index]);
    life.own.push(index);
    lives.set(process, life);
  }
  const sorted = [...lives.values()].sort((a, b) => a.from - b.from || a.process - b.process);
  const { row, rows } = stack(sorted.length, (i) => sorted[i].from, (i) => sorted[i].until);
  const laid = range(rows).map(() => ({ processes: [], own: [] }));
  sorted.forEach((life, index) => {
    laid[row[index]].processes.push(life.process);
    laid[row[index]].own.push(...life.own);
  });
  for (const one of laid) {
    one.own.sort((a, b) => operations.invoked[a] - operations.invoked[b]);
    one.begins = Float64Array.from(one.own, (index) => operations.invoked[index]);
    one.longest = one.own.reduce((most, index) => (
      Math.max(most, operations.returned[index] - operations.invoked[index])), 0);
  }
  return laid;
})();

/** Rows of locks: holds that overlap stand below each other. */
const locks = (() => {
  const { lock, granted, believed } = payload.holds;
  const names = [...new Set([...lock, ...payload.accesses.lock])].sort((a, b) => a - b);
  return names.map((name) => {
    const own = range(lock.length).filter((index) => lock[index] === name);
    const { row, rows } = stack(own.length, (i) => granted[own[i]], (i) => believed[own[i]]);
    const accesses = range(payload.accesses.at.length)
      .filter((index) => payload.accesses.lock[index] === name);
    return {
      name, own, row, rows: Math.max(1, rows), accesses,
      begins: Float64Array.from(own, (index) => granted[index]),
      ends: own.map((index) => believed[index]),
      accessed: Float64Array.from(accesses, (index) => payload.accesses.at[index]),
    };
  });
})();

const LANE = nodes.length <= 5 ? 62 : nodes.length <= 9 ? 50 : 38;
const LINK = 22;
const CLIENT = 24;
const HOLD = 18;

/** All rows: kind, top, height, and what is in it. */
const layout = (() => {
  const rows = [];
  let top = AXIS + 8;
  const add = (kind, height, more) => {
    rows.push({ kind, top, height, ...more });
    top += height;
  };
  if (payload.windows.length > 0) add('service', 14, { label: 'service due' });
  for (const row of range(linkRows.rows)) add('links', LINK, { row, label: row === 0 ? 'links' : '' });
  if (rows.length > 0) top += 6;
  if (states.at.length + messages.count > 0) {
    for (const node of nodes) add('node', LANE, { node, label: node.name });
    top += 12;
  }
  clients.forEach((client, index) => {
    const [first] = client.processes;
    const more = client.processes.length - 1;
    add('client', CLIENT, { client, index, label: more > 0 ? `client p${first} +${more}` : `client p${first}` });
  });
  if (locks.length > 0) top += 12;
  for (const lock of locks) add('lock', lock.rows * HOLD + 10, { lock, label: `lock ${lock.name}` });
  return { rows, height: top + 10 };
})();

const nodeRows = layout.rows.filter((row) => row.kind === 'node');
const laneMiddle = (node) => nodeRows[node].top + nodeRows[node].height / 2 + 4;

