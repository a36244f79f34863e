// The whole run in a strip: how much was said when, what was wrong, where the window is.

const overview = document.getElementById('overview');
const overviewPen = overview.getContext('2d');
const STRIP = 46;
let strip = null;

const overviewX = (at) => GUTTER + at / payload.end * (size.width - GUTTER);

/** The part that does not change with the window. */
const drawStrip = () => {
  strip = document.createElement('canvas');
  [strip.width, strip.height] = [Math.round(size.width * size.ratio), STRIP * size.ratio];
  const own = strip.getContext('2d');
  own.setTransform(size.ratio, 0, 0, size.ratio, 0, 0);
  own.fillStyle = colours.panel;
  own.fillRect(0, 0, size.width, STRIP);
  const columns = Math.max(1, Math.floor((size.width - GUTTER) / 2));
  const counts = new Uint32Array(columns + 1);
  const sample = messages.count > 0 ? messages.sent : operations.invoked;
  for (const at of sample) counts[Math.floor(at / payload.end * columns)] += 1;
  const most = counts.reduce((a, b) => Math.max(a, b), 1);
  own.fillStyle = colours.message;
  own.globalAlpha = 0.55;
  for (let column = 0; column < columns; column += 1) {
    const height = counts[column] / most * (STRIP - 16);
    own.fillRect(GUTTER + column * 2, STRIP - 2 - height, 1.4, height);
  }
  own.globalAlpha = 1;
  for (const band of bands) {
    const left = overviewX(band.from);
    const isBad = band.kind !== 'links' && !(band.kind === 'node' && !stopsNode(band));
    own.fillStyle = isBad ? colours.danger : colours.warn;
    own.fillRect(left, isBad ? 3 : 8, Math.max(overviewX(band.until) - left, 2), 3);
  }
  own.fillStyle = colours.danger;
  for (const one of findings) {
    if (one.at !== null) own.fillRect(overviewX(one.at) - 1, 0, 2, STRIP);
  }
  own.fillStyle = colours.dim;
  own.font = `11px ${FONT}`;
  own.textBaseline = 'middle';
  own.fillText('whole run', 12, STRIP / 2);
};

const showOverview = () => {
  const [width, height] = [Math.round(size.width * size.ratio), STRIP * size.ratio];
  if (overview.width !== width || overview.height !== height) {
    [overview.width, overview.height] = [width, height];
    overview.style.height = `${STRIP}px`;
    strip = null;
  }
  if (!strip) drawStrip();
  overviewPen.setTransform(1, 0, 0, 1, 0, 0);
  overviewPen.drawImage(strip, 0, 0);
  overviewPen.setTransform(size.ratio, 0, 0, size.ratio, 0, 0);
  const left = overviewX(view.from);
  const right = Math.max(overviewX(view.until), left + 4);
  overviewPen.fillStyle = colours.paper;
  overviewPen.globalAlpha = 0.6;
  overviewPen.fillRect(GUTTER, 0, left - GUTTER, STRIP);
  overviewPen.fillRect(right, 0, size.width - right, STRIP);
  overviewPen.globalAlpha = 1;
  overviewPen.strokeStyle = colours.ink;
  overviewPen.lineWidth = 1.5;
  overviewPen.strokeRect(left, 0.75, right - left, STRIP - 1.5);
  overviewPen.fillStyle = colours.ink;
  overviewPen.fillRect(overviewX(view.cursor) - 0.75, 0, 1.5, STRIP);
};

const overviewDrag = (event) => {
  const box = overview.getBoundingClientRect();
  const at = (event.clientX - box.left - GUTTER) / (size.width - GUTTER) * payload.end;
  const span = view.until - view.from;
  setWindow(at - span / 2, at + span / 2);
  if (view.cursor < view.from || view.cursor > view.until) setCursor((view.from + view.until) / 2);
};

overview.addEventListener('pointerdown', (event) => {
  overview.setPointerCapture(event.pointerId);
  overviewDrag(event);
});
overview.addEventListener('pointermove', (event) => { if (event.buttons) overviewDrag(event); });

