// Node lanes, what is wrong with them, and the messages between them.

/** The part of a band that is in view, in pixels. */
const inView = (band) => {
  if (band.until < view.from || band.from > view.until) return null;
  const left = Math.max(xOf(band.from), GUTTER);
  const right = Math.min(xOf(band.until), size.width);
  return { left, right, width: Math.max(right - left, 2), begins: band.from >= view.from };
};

const drawService = (row) => {
  for (const window of payload.windows) {
    const seen = inView(window);
    if (!seen) continue;
    const y = row.top + 5;
    stroke(colours.dim, seen.left, y, seen.right, y, 1.5);
    for (const [x, inside] of [[seen.left, seen.begins], [seen.right, window.until <= view.until]]) {
      if (inside) stroke(colours.dim, x, y - 3, x, y + 4, 1.5);
    }
  }
};

/** Faults of links: a hatched bar with its name, and an edge through all lanes at either end. */
const drawLinkBand = (band, row) => {
  const seen = inView(band);
  if (!seen) return;
  const isCut = band.kind !== 'links';
  const colour = isCut ? colours.danger : colours.warn;
  const y = row.top + 2;
  fill(isCut ? colours['danger-soft'] : colours['warn-soft'], seen.left, y, seen.width, LINK - 4);
  fill(hatch(colour, isCut ? 'rising' : 'falling', 6), seen.left, y, seen.width, LINK - 4);
  tag(band.label, seen.left + 3, y + (LINK - 4) / 2, colours.ink, seen.width - 6);
  const [first, last] = [nodeRows[0], nodeRows[nodeRows.length - 1]];
  if (!first) return;
  for (const [at, x] of [[band.from, seen.left], [band.until, seen.right]]) {
    if (at >= view.from && at <= view.until && at < payload.end) {
      stroke(colour, x, y + LINK - 4, x, last.top + last.height, 1, [2, 4]);
    }
  }
  drawSides(band, seen);
};

/** Which side of a cut a node is on: a letter at its lane, and a ground for the smaller sides. */
const drawSides = (band, seen) => {
  if (band.kind === 'links' || seen.width < 26) return;
  band.nodes.forEach((side, index) => {
    for (const node of side) {
      const row = nodeRows[node];
      if (!row) continue;
      if (index % 2 === 0) {
        pen.globalAlpha = 0.5;
        fill(hatch(colours['danger-soft'], 'rising', 9), seen.left, row.top + 2, seen.width, row.height - 4);
        pen.globalAlpha = 1;
      }
      const word = band.kind === 'one-way'
        ? ['mute', 'deaf'][index] : `side ${String.fromCharCode(65 + index)}`;
      tag(word, seen.left + 3, row.top + 12, colours.danger, seen.width);
    }
  });
};

const drawNodeBand = (band) => {
  const row = nodeRows[band.nodes[0][0]];
  const seen = row && inView(band);
  if (!seen) return;
  const middle = laneMiddle(row.node.index);
  if (stopsNode(band)) {
    const isDown = band.label.startsWith('down');
    const style = isDown ? colours.danger : colours.warn;
    fill(isDown ? colours['danger-soft'] : colours['warn-soft'], seen.left, middle - 13, seen.width, 26);
    fill(hatch(style, isDown ? 'crossed' : 'falling', 8), seen.left, middle - 13, seen.width, 26);
    pen.strokeStyle = style;
    pen.lineWidth = 1;
    pen.strokeRect(seen.left + 0.5, middle - 12.5, Math.max(seen.width - 1, 1), 25);
    tag(band.label, seen.left + 5, middle, colours.ink, seen.width - 8);
    return;
  }
  const y = row.top + row.height - 5;
  if (band.from === band.until) {
    write('▼', seen.left, row.top + 9, colours.warn, `10px ${FONT}`, 'center');
    tag(band.label, seen.left + 6, row.top + 9, colours.warn, 160);
    return;
  }
  stroke(colours.warn, seen.left, y, seen.right, y, 3, [5, 3]);
  tag(band.label, seen.left + 3, y - 1, colours.warn, Math.min(seen.width - 4, 220), `10px ${FONT}`);
};

/** A node's lane: its part by the weight and kind of its line, its epoch by a label. */
const drawLane = (row) => {
  const { node } = row;
  const y = laneMiddle(node.index);
  stroke(colours.faint, GUTTER, row.top + row.height + 0.5, size.width, row.top + row.height + 0.5);
  let place = Math.max(0, firstAfter(node.begins, view.from) - 1);
  let labelled = -Infinity;
  let drawnTo = -Infinity;
  while (place < node.parts.length && node.parts[place].from <= view.until) {
    const part = node.parts[place];
    const left = Math.max(xOf(part.from), GUTTER);
    const right = Math.min(xOf(part.until), size.width);
    effort.scanned += 1;
    if (right > drawnTo + 0.5) {
      drawPart(part, left, right, y);
      drawnTo = right;
      const words = part.condition === UP ? partWords(part) : '';
      if (words && left - labelled > 6 && part.role !== LEADER) {
        labelled = left + labelPart(words, part, left, right, y);
      }
    }
    // Parts too short to see are passed over, however many they are.
    const next = firstAfter(node.begins, Math.max(part.from, timeOf(drawnTo + 0.5)));
    place = Math.max(place + 1, next - 1);
  }
};

/** Names of parts, to be written over the messages. */
const labels = [];

const labelPart = (words, part, left, right, y) => {
  if (part.role === REPLICA || part.from < view.from) return 0;
  const short = part.epoch > 0 ? `e${part.epoch}` : '';
  if (!short) return 0;
  const text = right - left > 90 ? words : short;
  labels.push([text, left + 1, y + 14]);
  return widthOf(text, `10px ${MONO}`) + 3;
};

const drawPart = (part, left, right, y) => {
  if (part.condition === DOWN) return;
  const width = Math.max(right - left, 1);
  if (part.condition === PAUSED) {
    stroke(colours.warn, left, y, right, y, 2, [2, 4]);
    return;
  }
  switch (part.role) {
    case LEADER: {
      pen.fillStyle = colours.accent;
      rounded(left, y - 8, width, 16, 4);
      pen.fill();
      const full = `★ leader e${part.epoch}`;
      const font = `600 11px ${FONT}`;
      const text = width > widthOf(full, font) + 12 ? full : `★ e${part.epoch}`;
      if (width > widthOf(text, font) + 8) write(text, left + 6, y + 0.5, colours['on-strong'], font);
      break;
    }
    case CANDIDATE:
      pen.strokeStyle = colours.accent;
      pen.lineWidth = 1.5;
      pen.setLineDash([4, 2]);
      rounded(left, y - 5, width, 10, 3);
      pen.stroke();
      pen.setLineDash([]);
      break;
    case REPLICA:
      stroke(colours.accent, left, y, right, y, 3);
      break;
    default:
      stroke(colours.dim, left, y, right, y, 2);
  }
  if (part.from >= view.from) stroke(colours.ink, left, y - 5, left, y + 5, 1);
};

const MESSAGES_DRAWN = 2_500;

/** Messages in view. If there are very many, every second, fourth, … of them, always the same ones. */
const drawMessages = () => {
  const found = messages.groups.map(({ indexes, sent, flight }) => ({
    indexes,
    low: firstFrom(sent, view.from - flight),
    high: firstAfter(sent, view.until),
  }));
  const total = found.reduce((sum, { low, high }) => sum + high - low, 0);
  let every = 1;
  while (total / every > MESSAGES_DRAWN) every *= 2;
  effort.thinned = every;
  const strokes = { plain: [], late: [], lost: [] };
  for (const { indexes, low, high } of found) {
    for (let place = Math.ceil(low / every) * every; place < high; place += every) {
      effort.scanned += 1;
      addMessage(indexes[place], strokes);
    }
  }
  const crowd = clamp(260 / Math.max(1, total / every), 0.28, 0.85);
  strokeAll(strokes.plain, colours.message, crowd, []);
  strokeAll(strokes.late, colours.warn, 0.8, [5, 3]);
  strokeAll(strokes.lost, colours.danger, 0.75, []);
  if (strokes.plain.length < 4 * 400) drawHeads(strokes.plain, colours.message, crowd);
  if (strokes.late.length < 4 * 400) drawHeads(strokes.late, colours.warn, 0.8);
  drawEnds(strokes.lost);
};

const addMessage = (index, strokes) => {
  const [from, to] = [laneMiddle(messages.from[index]), laneMiddle(messages.to[index])];
  const left = xOf(messages.sent[index]);
  if (from === to) return;
  effort.drawn += 1;
  if (messages.isLost(index)) {
    // How far it came is not known: as far as the eye needs to see whither it went.
    const reach = from + (to - from) * Math.min(0.45, 30 / Math.abs(to - from));
    const share = (reach - from) / (to - from);
    strokes.lost.push(left, from, xOf(messages.sent[index] + messages.usual * share), reach);
    return;
  }
  const kind = messages.isDropped(index) ? strokes.lost
    : messages.isLate(index) ? strokes.late : strokes.plain;
  kind.push(left, from, xOf(messages.first[index]), to);
  if (!Number.isNaN(messages.second[index])) {
    effort.drawn += 1;
    strokes.late.push(left, from, xOf(messages.second[index]), to);
  }
};

const strokeAll = (lines, colour, alpha, dash) => {
  if (lines.length === 0) return;
  pen.strokeStyle = colour;
  pen.globalAlpha = alpha;
  pen.lineWidth = 1.1;
  pen.setLineDash(dash);
  pen.beginPath();
  for (let at = 0; at < lines.length; at += 4) {
    pen.moveTo(lines[at], lines[at + 1]);
    pen.lineTo(lines[at + 2], lines[at + 3]);
  }
  pen.stroke();
  pen.setLineDash([]);
  pen.globalAlpha = 1;
};

const drawHeads = (lines, colour, alpha) => {
  pen.fillStyle = colour;
  pen.globalAlpha = alpha;
  pen.beginPath();
  for (let at = 0; at < lines.length; at += 4) {
    const [x, y] = [lines[at + 2], lines[at + 3]];
    const turn = Math.atan2(y - lines[at + 1], x - lines[at]);
    pen.moveTo(x, y);
    pen.lineTo(x - 7 * Math.cos(turn - 0.38), y - 7 * Math.sin(turn - 0.38));
    pen.lineTo(x - 7 * Math.cos(turn + 0.38), y - 7 * Math.sin(turn + 0.38));
    pen.closePath();
  }
  pen.fill();
  pen.globalAlpha = 1;
};

const drawEnds = (lines) => {
  pen.strokeStyle = colours.danger;
  pen.lineWidth = 1.6;
  pen.beginPath();
  for (let at = 0; at < lines.length; at += 4) {
    const [x, y] = [lines[at + 2], lines[at + 3]];
    pen.moveTo(x - 3, y - 3);
    pen.lineTo(x + 3, y + 3);
    pen.moveTo(x + 3, y - 3);
    pen.lineTo(x - 3, y + 3);
  }
  pen.stroke();
};

