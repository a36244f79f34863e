// The axis, the names of rows, the moment of the violation, the cursor.

const STEPS = [1, 2, 5];

/** A round length of time so that ticks are about `pixels` apart. */
const tickStep = (pixels) => {
  const wantedSpan = (view.until - view.from) / (size.width - GUTTER) * pixels;
  const power = 10 ** Math.floor(Math.log10(wantedSpan));
  return power * (STEPS.find((step) => step * power >= wantedSpan) ?? 10);
};

const tickText = (at, step) => {
  if (step >= 1e8) return `${(at / 1e9).toFixed(step >= 1e9 ? 0 : 1)} s`;
  const digits = clamp(Math.ceil(-Math.log10(step / MS)), 0, 3);
  return `${(at / MS).toFixed(digits)} ms`;
};

const drawAxis = () => {
  fill(colours.panel, 0, 0, size.width, AXIS);
  const step = tickStep(110);
  for (let at = Math.ceil(view.from / step) * step; at <= view.until; at += step) {
    const x = xOf(at);
    stroke(colours.faint, x, AXIS, x, size.height);
    stroke(colours.dim, x, AXIS - 6, x, AXIS);
    write(tickText(at, step), x + 4, AXIS - 9, colours.dim, `11px ${MONO}`);
  }
  stroke(colours.line, 0, AXIS + 0.5, size.width, AXIS + 0.5);
};

const drawGutter = () => {
  fill(colours.paper, 0, AXIS + 1, GUTTER - 1, size.height);
  stroke(colours.line, GUTTER - 0.5, AXIS, GUTTER - 0.5, size.height);
  fill(colours.panel, 0, 0, GUTTER, AXIS);
  for (const row of layout.rows) {
    const isNode = row.kind === 'node';
    const y = isNode ? laneMiddle(row.node.index) - 8 : row.top + row.height / 2;
    const font = isNode ? `600 13px ${FONT}` : `11px ${FONT}`;
    if (row.label) write(row.label, 12, y, isNode ? colours.ink : colours.dim, font);
  }
};

const drawViolations = () => {
  findings.forEach((one, index) => {
    if (one.at === null || one.at < view.from || one.at > view.until) return;
    const x = xOf(one.at);
    stroke(colours.danger, x, 4, x, size.height, index === 0 ? 2 : 1, index === 0 ? [] : [6, 4]);
    if (index > 0) return;
    const text = `✕ ${one.guarantee}`;
    const width = widthOf(text, `700 11px ${FONT}`) + 14;
    const left = x + width > size.width ? x - width : x;
    pen.fillStyle = colours.danger;
    rounded(left, 2, width, 17, 3);
    pen.fill();
    write(text, left + 7, 11, colours['on-strong'], `700 11px ${FONT}`);
  });
};

/** What was chosen: over the messages, under the marks of operations. */
const drawChosen = () => {
  const { chosen } = view;
  if (!chosen) return;
  pen.strokeStyle = colours.ink;
  pen.lineWidth = 2.5;
  if (chosen.kind === 'message') {
    const index = chosen.index;
    const [from, to] = [laneMiddle(messages.from[index]), laneMiddle(messages.to[index])];
    const end = messages.isLost(index) ? messages.sent[index] + messages.usual : messages.first[index];
    stroke(colours.ink, xOf(messages.sent[index]), from, xOf(end), to, 2.5);
    pen.beginPath();
    pen.arc(xOf(messages.sent[index]), from, 4, 0, 7);
    pen.fillStyle = colours.ink;
    pen.fill();
  } else if (chosen.kind === 'operation') {
    const row = layout.rows.find((one) => one.kind === 'client' && one.client.own.includes(chosen.index));
    const left = xOf(operations.invoked[chosen.index]);
    const width = xOf(operations.returned[chosen.index]) - left;
    rounded(left - 5, row.top - 1, Math.max(width, 3) + 10, row.height + 2, 6);
    pen.stroke();
  }
};

const draw = () => {
  effort.drawn = 0;
  effort.scanned = 0;
  effort.thinned = 1;
  pen.setTransform(size.ratio, 0, 0, size.ratio, 0, 0);
  fill(colours.paper, 0, 0, size.width, size.height);
  drawAxis();
  pen.save();
  pen.beginPath();
  pen.rect(GUTTER, AXIS, size.width - GUTTER, size.height - AXIS);
  pen.clip();
  for (const row of layout.rows) {
    if (row.kind === 'service') drawService(row);
    if (row.kind === 'links') linkBands.filter((band) => band.row === row.row).forEach((band) => drawLinkBand(band, row));
  }
  if (nodeRows.length > 0) {
    nodeRows.forEach(drawLane);
    if (view.showsMessages) drawMessages();
    for (const [text, x, y] of labels.splice(0)) tag(text, x, y, colours.dim, Infinity, `10px ${MONO}`);
    bands.filter((band) => band.kind === 'node').forEach(drawNodeBand);
  }
  drawChosen();
  for (const row of layout.rows) {
    if (row.kind === 'client') drawClient(row);
    if (row.kind === 'lock') drawLock(row);
  }
  pen.restore();
  drawGutter();
  drawViolations();
};

/** The sheet, and the cursor over it. */
const show = () => {
  screen.setTransform(1, 0, 0, 1, 0, 0);
  screen.drawImage(sheet, 0, 0);
  screen.setTransform(size.ratio, 0, 0, size.ratio, 0, 0);
  screen.textBaseline = 'middle';
  showParts();
  showRow();
  if (view.cursor < view.from || view.cursor > view.until) return;
  const x = Math.round(xOf(view.cursor)) + 0.5;
  screen.strokeStyle = colours.ink;
  screen.lineWidth = 1.5;
  screen.beginPath();
  screen.moveTo(x, 20);
  screen.lineTo(x, size.height);
  screen.stroke();
  const text = millis(view.cursor);
  screen.font = `600 11px ${MONO}`;
  const width = screen.measureText(text).width + 12;
  const left = clamp(x - width / 2, 0, size.width - width);
  screen.fillStyle = colours.ink;
  screen.beginPath();
  screen.roundRect(left, AXIS - 17, width, 17, 3);
  screen.fill();
  screen.fillStyle = colours.paper;
  screen.textAlign = 'left';
  screen.fillText(text, left + 6, AXIS - 8);
};

/** Each node's part at the cursor, beside its name. */
const showParts = () => {
  screen.textAlign = 'left';
  for (const row of nodeRows) {
    const part = partAt(row.node, view.cursor);
    if (!part) continue;
    const isLeader = part.condition === UP && part.role === LEADER;
    screen.font = `${isLeader ? '600 ' : ''}11px ${FONT}`;
    screen.fillStyle = isLeader ? colours.accent : part.condition === UP ? colours.dim : colours.danger;
    const mark = isLeader ? '★ ' : part.condition === DOWN ? '✕ ' : part.condition === PAUSED ? '‖ ' : '';
    screen.fillText(mark + partWords(part), 12, laneMiddle(row.node.index) + 9);
  }
};

/** The row that the keyboard has chosen. */
const showRow = () => {
  const row = layout.rows[view.row];
  if (!row) return;
  screen.strokeStyle = colours.accent;
  screen.lineWidth = 2;
  screen.strokeRect(2, row.top + 1, GUTTER - 5, row.height - 2);
};

