// What clients did: operations, and the locks that they believed to hold.

const drawClient = (row) => {
  const { own, begins, longest } = row.client;
  const y = row.top + 4;
  const height = row.height - 8;
  stroke(colours.faint, GUTTER, row.top + row.height / 2, size.width, row.top + row.height / 2);
  const low = firstFrom(begins, view.from - longest);
  const high = firstAfter(begins, view.until);
  let drawnTo = -Infinity;
  for (let place = low; place < high; place += 1) {
    effort.scanned += 1;
    const index = own[place];
    const left = xOf(operations.invoked[index]);
    const right = Math.max(xOf(operations.returned[index]), left + 2);
    const matters = core.has(index) || concerned.has(index);
    if (right < GUTTER || (right <= drawnTo + 0.7 && !matters)) continue;
    drawOperation(index, left, y, right - left, height);
    drawnTo = Math.max(drawnTo, right);
  }
};

const drawOperation = (index, left, y, width, height) => {
  const [end, kind] = [operations.end[index], operations.kind[index]];
  const colour = kind === READ ? colours.read : kind === WRITE ? colours.write : colours.other;
  rounded(left, y, width, height);
  if (end === REFUSED) {
    pen.strokeStyle = colours.dim;
    pen.lineWidth = 1;
    pen.stroke();
  } else if (kind === WRITE) {
    pen.fillStyle = colour;
    pen.fill();
  } else {
    pen.fillStyle = colours.panel;
    pen.fill();
    pen.globalAlpha = 0.22;
    pen.fillStyle = colour;
    pen.fill();
    pen.globalAlpha = 1;
    pen.strokeStyle = colour;
    pen.lineWidth = 1.2;
    pen.stroke();
  }
  if (end === UNKNOWN) {
    // Nobody answered: it is open to the right.
    const right = left + width;
    stroke(colour, right, y + height / 2, right + 26, y + height / 2, 1.5, [2, 3]);
    write('?', right + 32, y + height / 2, colours.ink, `600 11px ${FONT}`, 'center');
  }
  if (width > 16) drawOperationText(index, left, y, width, height);
  if (core.has(index) || concerned.has(index)) ring(index, left, y, width, height);
};

const drawOperationText = (index, left, y, width, height) => {
  const isFull = operations.kind[index] === WRITE && operations.end[index] !== REFUSED;
  const text = strings[operations.label[index]];
  const font = `11px ${FONT}`;
  const start = Math.max(left, GUTTER);
  if (widthOf(text, font) + 8 > left + width - start) return;
  write(text, start + 4, y + height / 2 + 0.5, isFull ? colours['on-strong'] : colours.ink, font);
};

/** A ring and a number around an operation that contradicts others. */
const ring = (index, left, y, width, height) => {
  pen.strokeStyle = colours.danger;
  pen.lineWidth = 2;
  rounded(left - 2.5, y - 2.5, Math.max(width, 3) + 5, height + 5, 5);
  pen.stroke();
  if (!core.has(index)) return;
  const mark = index === stuck ? '✕' : String(core.get(index));
  const x = clamp(left + width / 2, GUTTER + 8, size.width - 8);
  pen.fillStyle = colours.danger;
  pen.beginPath();
  pen.arc(x, y - 6, 7.5, 0, 7);
  pen.fill();
  write(mark, x, y - 5.5, colours['on-strong'], `700 10px ${FONT}`, 'center');
};

const drawLock = (row) => {
  const { own, row: place, begins, ends, accesses, accessed } = row.lock;
  const { owner, token, granted, lease, believed } = payload.holds;
  const high = firstAfter(begins, view.until);
  for (let at = 0; at < high; at += 1) {
    effort.scanned += 1;
    if (ends[at] < view.from) continue;
    const index = own[at];
    const y = row.top + 3 + place[at] * HOLD;
    const left = Math.max(xOf(granted[index]), GUTTER);
    const right = Math.min(xOf(believed[index]), size.width);
    const leased = clamp(xOf(lease[index]), left, right);
    // Full while its lease was valid; light while it only believed to hold it.
    fill(colours.write, left, y, Math.max(leased - left, 1.5), HOLD - 4);
    if (right - leased > 1) {
      fill(colours['warn-soft'], leased, y, right - leased, HOLD - 4);
      fill(hatch(colours.warn, 'falling', 6), leased, y, right - leased, HOLD - 4);
    }
    const text = `p${owner[index]} · token ${token[index]}`;
    if (right - left > widthOf(text, `10px ${FONT}`) + 10) {
      const isFull = leased - left > widthOf(text, `10px ${FONT}`) + 10;
      if (isFull) write(text, left + 5, y + 7.5, colours['on-strong'], `10px ${FONT}`);
      else tag(text, left + 3, y + 7, colours.ink, right - left, `10px ${FONT}`);
    }
    if (holdsConcerned.has(index)) {
      pen.strokeStyle = colours.danger;
      pen.lineWidth = 2;
      rounded(left - 2, y - 2, right - left + 4, HOLD, 4);
      pen.stroke();
    }
  }
  drawAccesses(row, accesses, accessed);
};

/** Writes to what the lock guards: a dot if it was taken, a cross if not. */
const drawAccesses = (row, accesses, accessed) => {
  const y = row.top + row.height - 5;
  let drawnTo = -Infinity;
  for (let at = firstFrom(accessed, view.from); at < accesses.length; at += 1) {
    if (accessed[at] > view.until) break;
    const index = accesses[at];
    const x = xOf(accessed[at]);
    const isTaken = payload.accesses.accepted[index];
    if (x - drawnTo < 3 && isTaken) continue;
    drawnTo = x;
    if (isTaken) fill(colours.dim, x - 1.5, y - 1.5, 3, 3);
    else cross(x, y, 3.5, colours.danger);
  }
};

