// Puts it all together.

const clock = document.getElementById('clock');
const note = document.getElementById('note');

/** The moment in words, for who cannot see the diagram. */
const momentWords = () => {
  const parts = nodes.map((node) => `${node.name} ${partWords(partAt(node, view.cursor))}`.trim());
  const wrong = bands
    .filter((band) => band.from <= view.cursor && view.cursor < band.until)
    .map((band) => (band.kind === 'node' ? `${nodes[band.nodes[0][0]].name} ${band.label}` : band.label));
  const faults = wrong.length > 0 ? ` Faults: ${wrong.join('; ')}.` : '';
  return `${millis(view.cursor)}. ${parts.join(', ')}.${faults}`;
};

const onWindow = () => {
  draw();
  Object.assign(canvas.dataset, {
    from: Math.round(view.from),
    until: Math.round(view.until),
    drawn: effort.drawn,
    scanned: effort.scanned,
    messages: view.showsMessages ? 'shown' : 'hidden',
  });
  note.textContent = effort.thinned > 1
    ? `So many messages that 1 in ${effort.thinned} is drawn: zoom in to see all of them.` : '';
};

const onCursor = () => {
  showTable();
  followCursor();
  clock.textContent = millis(view.cursor);
  canvas.dataset.cursor = String(view.cursor);
  canvas.setAttribute('aria-valuenow', (view.cursor / MS).toFixed(3));
  canvas.setAttribute('aria-valuetext', momentWords());
  say(momentWords());
};

const redraw = () => {
  onWindow();
  show();
  showOverview();
};

onChange((what) => {
  if (what.window) onWindow();
  if (what.window || what.cursor) {
    show();
    showOverview();
  }
  if (what.cursor) onCursor();
  if (what.chosen) showChosen();
});

canvas.setAttribute('aria-valuemin', '0');
canvas.setAttribute('aria-valuemax', (payload.end / MS).toFixed(3));
readColours();
buildTable();
startInput();
fit();
startList();
const { from: firstFromTime, until: firstUntil, at: firstAt } = violationWindow();
setWindow(firstFromTime, firstUntil);
setCursor(firstAt);
if (stuck >= 0) choose({ kind: 'operation', index: stuck });
new ResizeObserver(fit).observe(canvas.parentElement);
document.documentElement.addEventListener('theme', () => {
  readColours();
  strip = null;
  changed({ window: true, cursor: true });
});
document.documentElement.dataset.ready = 'yes';
