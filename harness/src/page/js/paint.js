// The canvas, its colours, and the few shapes that everything is drawn with.

const canvas = document.getElementById('diagram');
const screen = canvas.getContext('2d');
/** The drawing without the cursor, so that scrubbing draws next to nothing. */
const sheet = document.createElement('canvas');
const pen = sheet.getContext('2d');
const size = { width: 0, height: 0, ratio: 1 };
/** How much the last drawing drew, and how much it looked at. */
const effort = { drawn: 0, scanned: 0, thinned: 1 };
let colours = {};
let hatches = {};

const FONT = 'ui-sans-serif, system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif';
const MONO = 'ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';

const readColours = () => {
  const style = getComputedStyle(document.documentElement);
  const names = ['paper', 'panel', 'ink', 'dim', 'line', 'faint', 'accent', 'accent-soft', 'danger',
    'danger-soft', 'warn', 'warn-soft', 'message', 'read', 'write', 'other', 'on-strong'];
  colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  hatches = {};
};

/** A pattern of strokes: told apart by direction and distance as well as by colour. */
const hatch = (colour, direction, gap = 7) => {
  const key = `${colour}${direction}${gap}`;
  if (hatches[key]) return hatches[key];
  const tile = document.createElement('canvas');
  const side = gap * size.ratio;
  [tile.width, tile.height] = [side, side];
  const own = tile.getContext('2d');
  own.strokeStyle = colour;
  own.lineWidth = size.ratio;
  own.beginPath();
  for (const shift of [-side, 0, side]) {
    if (direction !== 'falling') {
      own.moveTo(shift, side);
      own.lineTo(shift + side, 0);
    }
    if (direction !== 'rising') {
      own.moveTo(shift, 0);
      own.lineTo(shift + side, side);
    }
  }
  own.stroke();
  const pattern = pen.createPattern(tile, 'repeat');
  pattern.setTransform(new DOMMatrix().scale(1 / size.ratio));
  hatches[key] = pattern;
  return pattern;
};

const fit = () => {
  const width = Math.max(320, canvas.parentElement.clientWidth);
  const ratio = Math.min(3, window.devicePixelRatio || 1);
  if (size.width === width && size.ratio === ratio) return;
  Object.assign(size, { width, height: layout.height, ratio });
  for (const one of [canvas, sheet]) {
    one.width = Math.round(width * ratio);
    one.height = Math.round(size.height * ratio);
  }
  canvas.style.height = `${size.height}px`;
  hatches = {};
  // At once: a canvas that changes its size is blank until it is drawn again.
  redraw();
};

const xOf = (at) => GUTTER + (at - view.from) / (view.until - view.from) * (size.width - GUTTER);
const timeOf = (x) => view.from + (x - GUTTER) / (size.width - GUTTER) * (view.until - view.from);

const fill = (style, x, y, width, height) => {
  effort.drawn += 1;
  pen.fillStyle = style;
  pen.fillRect(x, y, width, height);
};

const stroke = (style, x1, y1, x2, y2, width = 1, dash = []) => {
  effort.drawn += 1;
  pen.strokeStyle = style;
  pen.lineWidth = width;
  pen.setLineDash(dash);
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x2, y2);
  pen.stroke();
  pen.setLineDash([]);
};

const rounded = (x, y, width, height, radius = 3) => {
  pen.beginPath();
  pen.roundRect(x, y, Math.max(width, 1), height, Math.min(radius, Math.max(width, 1) / 2));
  effort.drawn += 1;
};

const widths = new Map();
/** The width of `text`; asked of the canvas once. */
const widthOf = (text, font) => {
  const key = font + text;
  let width = widths.get(key);
  if (width === undefined) {
    pen.font = font;
    width = pen.measureText(text).width;
    if (widths.size > 20_000) widths.clear();
    widths.set(key, width);
  }
  return width;
};

const write = (text, x, y, style, font = `11px ${FONT}`, align = 'left') => {
  effort.drawn += 1;
  pen.font = font;
  pen.fillStyle = style;
  pen.textAlign = align;
  pen.textBaseline = 'middle';
  pen.fillText(text, x, y);
};

/** Text on a ground of its own, so that it reads across lines and hatching; cut to `room`. */
const tag = (text, x, y, style, room = Infinity, font = `600 11px ${FONT}`) => {
  let shown = text;
  if (widthOf(shown, font) + 8 > room) {
    const share = Math.max(0, Math.floor((room - 16) / 6));
    if (share < 3) return 0;
    shown = `${text.slice(0, share)}…`;
  }
  const width = widthOf(shown, font) + 8;
  pen.fillStyle = colours.paper;
  pen.globalAlpha = 0.88;
  rounded(x, y - 8, width, 16, 3);
  pen.fill();
  pen.globalAlpha = 1;
  write(shown, x + 4, y + 0.5, style, font);
  return width;
};

const cross = (x, y, radius, style, width = 2) => {
  effort.drawn += 1;
  pen.strokeStyle = style;
  pen.lineWidth = width;
  pen.beginPath();
  pen.moveTo(x - radius, y - radius);
  pen.lineTo(x + radius, y + radius);
  pen.moveTo(x + radius, y - radius);
  pen.lineTo(x - radius, y + radius);
  pen.stroke();
};

