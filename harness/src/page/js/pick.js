// What is at a place of the diagram, or nearest to a moment in a row.

const NEAR = 7; // pixels

const rowAt = (y) => layout.rows.findIndex((row) => y >= row.top && y < row.top + row.height);

/** The operation of `row` nearest to `at`, within `reach` nanoseconds. */
const operationNear = (row, at, reach) => {
  const { own, begins, longest } = row.client;
  let best = null;
  const high = firstAfter(begins, at + reach);
  for (let place = firstFrom(begins, at - reach - longest); place < high; place += 1) {
    const index = own[place];
    const away = Math.max(operations.invoked[index] - at, at - operations.returned[index], 0);
    if (away <= reach && (!best || away <= best.away)) best = { kind: 'operation', index, away };
  }
  return best;
};

/** The hold of a lock nearest to `at`. */
const holdNear = (row, at, reach) => {
  const { own, begins, ends } = row.lock;
  let best = null;
  for (let place = 0; place < firstAfter(begins, at + reach); place += 1) {
    const away = Math.max(begins[place] - at, at - ends[place], 0);
    if (away <= reach && (!best || away <= best.away)) best = { kind: 'hold', index: own[place], away };
  }
  return best;
};

/** Calls `visit` for every message that may be under way between `from` and `until`. */
const eachMessage = (from, until, visit) => {
  for (const { indexes, sent, flight } of messages.groups) {
    const high = firstAfter(sent, until);
    for (let place = firstFrom(sent, from - flight); place < high; place += 1) visit(indexes[place]);
  }
};

const distance = (px, py, x1, y1, x2, y2) => {
  const [dx, dy] = [x2 - x1, y2 - y1];
  const share = clamp(((px - x1) * dx + (py - y1) * dy) / (dx * dx + dy * dy || 1), 0, 1);
  return Math.hypot(px - x1 - share * dx, py - y1 - share * dy);
};

const messageAt = (x, y) => {
  if (!view.showsMessages || nodeRows.length === 0) return null;
  let best = null;
  const at = timeOf(x);
  const reach = timeOf(x + NEAR) - at;
  eachMessage(at - reach, at + reach, (index) => {
    const [from, to] = [laneMiddle(messages.from[index]), laneMiddle(messages.to[index])];
    const end = messages.isLost(index) ? messages.sent[index] + messages.usual : messages.first[index];
    const away = distance(x, y, xOf(messages.sent[index]), from, xOf(end), to);
    if (away < NEAR && (!best || away < best.away)) best = { kind: 'message', index, away };
  });
  return best;
};

/** The message to or from a node nearest to `at`. */
const messageNear = (node, at) => {
  let best = null;
  const reach = (view.until - view.from) / 4;
  eachMessage(at - reach, at + reach, (index) => {
    const ends = [];
    if (messages.from[index] === node.index) ends.push(messages.sent[index]);
    if (messages.to[index] === node.index) ends.push(messages.first[index]);
    for (const end of ends) {
      const away = Math.abs(end - at);
      if (!best || away < best.away) best = { kind: 'message', index, away };
    }
  });
  return best;
};

const bandAt = (row, at) => {
  const isHere = (band) => band.from <= at && at <= band.until
    && (row.kind === 'links' ? band.kind !== 'node' && band.row === row.row
      : band.kind === 'node' && band.nodes[0][0] === row.node.index);
  const found = bands.find(isHere);
  return found ? { kind: 'band', index: found.index } : null;
};

/** What is under the pointer. */
const pick = (x, y) => {
  const row = layout.rows[rowAt(y)];
  const at = timeOf(x);
  const reach = timeOf(x + NEAR) - at;
  if (x < GUTTER) return null;
  if (row?.kind === 'client') return operationNear(row, at, reach);
  if (row?.kind === 'lock') return holdNear(row, at, reach);
  if (row?.kind === 'links') return bandAt(row, at);
  const message = messageAt(x, y);
  if (message) return message;
  return row?.kind === 'node' ? bandAt(row, at) : null;
};

/** What the row that the keyboard has chosen has at the cursor. */
const pickAtCursor = () => {
  const row = layout.rows[view.row];
  const reach = (view.until - view.from) / 10;
  if (row?.kind === 'client') return operationNear(row, view.cursor, reach);
  if (row?.kind === 'lock') return holdNear(row, view.cursor, reach);
  if (row?.kind === 'links') return bandAt(row, view.cursor);
  if (row?.kind === 'node') return messageNear(row.node, view.cursor) ?? bandAt(row, view.cursor);
  const near = layout.rows
    .filter((one) => one.kind === 'client')
    .map((one) => operationNear(one, view.cursor, reach))
    .filter(Boolean)
    .sort((a, b) => a.away - b.away);
  return near[0] ?? (nodes[0] ? messageNear(nodes[0], view.cursor) : null);
};

