// Keys, pointer, wheel and buttons.

/** Where the first violation showed, with what leads to it: of operations that contradict each
    other, the last two, which are as a rule what clashes. */
const violationWindow = () => {
  const at = finding?.at ?? null;
  if (at === null) return { from: 0, until: payload.end, at: 0 };
  const own = finding.operations.slice(-2);
  const held = finding.holds;
  const begins = [at, ...own.map((index) => operations.invoked[index]),
    ...held.map((index) => payload.holds.granted[index])];
  const ends = [at, ...own.map((index) => operations.returned[index])];
  const [from, until] = [Math.min(...begins), Math.max(...ends)];
  const least = own.length + held.length > 0 ? 4 * MS : 200 * MS;
  const margin = Math.max((until - from) * 0.4, least);
  return { from: from - margin, until: until + margin, at };
};

const goViolation = () => {
  const { from, until, at } = violationWindow();
  glide(from, until);
  setCursor(at);
};

const goFault = (way) => {
  const begins = [...new Set(bands.map((band) => band.from))];
  const found = way > 0
    ? begins.find((at) => at > view.cursor + 0.5)
    : begins.reverse().find((at) => at < view.cursor - 0.5);
  if (found === undefined) {
    say(way > 0 ? 'No later fault.' : 'No earlier fault.');
    return;
  }
  setCursor(found);
  reveal(found);
};

const goOperation = (index) => {
  const [from, until] = [operations.invoked[index], operations.returned[index]];
  const span = view.until - view.from;
  if (from < view.from || until > view.until) glide((from + until - span) / 2, (from + until + span) / 2);
  setCursor(until);
  choose({ kind: 'operation', index });
};

const toggleMessages = () => {
  view.showsMessages = !view.showsMessages;
  document.querySelector('[data-go=messages]').setAttribute('aria-pressed', String(view.showsMessages));
  changed({ window: true });
};

const ACTIONS = {
  violation: goViolation,
  'fault-before': () => goFault(-1),
  'fault-after': () => goFault(1),
  out: () => zoom(1.6),
  in: () => zoom(1 / 1.6),
  all: () => glide(0, payload.end),
  messages: toggleMessages,
};

const moveCursor = (by) => {
  setCursor(view.cursor + by);
  reveal(view.cursor);
};

const moveRow = (way) => {
  view.row = clamp(view.row + way, 0, layout.rows.length - 1);
  changed({ cursor: true });
  const row = layout.rows[view.row];
  const part = row.kind === 'node' ? `, ${partWords(partAt(row.node, view.cursor))}` : '';
  say(`${row.label || row.kind}${part}`);
};

const step = () => (view.until - view.from) / 100;

const KEYS = {
  ArrowLeft: (event) => (event.shiftKey ? goToRow(eventFrom(-1)) : moveCursor(-step())),
  ArrowRight: (event) => (event.shiftKey ? goToRow(eventFrom(1)) : moveCursor(step())),
  ArrowUp: () => moveRow(-1),
  ArrowDown: () => moveRow(1),
  PageUp: () => moveCursor(-(view.until - view.from)),
  PageDown: () => moveCursor(view.until - view.from),
  Home: () => moveCursor(-payload.end),
  End: () => moveCursor(payload.end),
  '+': () => zoom(1 / 1.6),
  '=': () => zoom(1 / 1.6),
  '-': () => zoom(1.6),
  0: () => ACTIONS.all(),
  v: goViolation,
  f: (event) => goFault(event.shiftKey ? -1 : 1),
  m: toggleMessages,
  Enter: () => {
    const item = pickAtCursor();
    if (item) choose(item);
    else say('Nothing near the cursor.');
  },
  Escape: () => {
    view.row = -1;
    choose(null);
  },
};

const onKey = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action(event);
};

const placeOf = (event) => {
  const box = canvas.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
};

let drag = null;

const onDown = (event) => {
  if (event.button !== 0) return;
  const { x, y } = placeOf(event);
  canvas.focus({ preventScroll: true });
  if (x < GUTTER) {
    view.row = rowAt(y);
    changed({ cursor: true });
    return;
  }
  canvas.setPointerCapture(event.pointerId);
  drag = { x, y, from: view.from, until: view.until, pans: event.shiftKey, moved: false };
  if (!drag.pans) setCursor(timeOf(x));
};

const onMove = (event) => {
  const { x, y } = placeOf(event);
  if (!drag) {
    hint(x, y);
    return;
  }
  drag.moved ||= Math.hypot(x - drag.x, y - drag.y) > 3;
  if (drag.pans) {
    const shift = (drag.x - x) / (size.width - GUTTER) * (drag.until - drag.from);
    setWindow(drag.from + shift, drag.until + shift);
  } else {
    setCursor(timeOf(clamp(x, GUTTER, size.width)));
  }
};

const onUp = (event) => {
  if (!drag) return;
  const { x, y } = placeOf(event);
  const item = drag.moved ? null : pick(x, y);
  drag = null;
  if (item) choose(item);
};

/** The wheel zooms where the diagram has the focus; elsewhere it moves the page, as everywhere. */
const onWheel = (event) => {
  const isOurs = document.activeElement === canvas || event.ctrlKey;
  if (!isOurs) return;
  event.preventDefault();
  const sideways = event.shiftKey ? event.deltaY : event.deltaX;
  if (Math.abs(sideways) > Math.abs(event.deltaY) || event.shiftKey) {
    const shift = sideways / (size.width - GUTTER) * (view.until - view.from);
    setWindow(view.from + shift, view.until + shift);
  } else {
    zoom(Math.exp(clamp(event.deltaY, -300, 300) / 400), timeOf(placeOf(event).x));
  }
};

const tip = document.getElementById('tip');

const itemWords = ({ kind, index }) => {
  switch (kind) {
    case 'message':
      return `${nodes[messages.from[index]].name} → ${nodes[messages.to[index]].name}, `
        + `${messageFate(index)}\n${strings[messages.text[index]].slice(0, 160)}`;
    case 'operation': {
      const passed = length(operations.returned[index] - operations.invoked[index]);
      return `${strings[operations.text[index]]}\n${millis(operations.invoked[index])}, ${passed}`;
    }
    case 'hold':
      return `p${payload.holds.owner[index]}, token ${payload.holds.token[index]}`;
    default:
      return `${bands[index].label}\n${millis(bands[index].from)} – ${millis(bands[index].until)}`;
  }
};

const hint = (x, y) => {
  const item = pick(x, y);
  tip.hidden = !item;
  canvas.style.cursor = item ? 'pointer' : x < GUTTER ? 'default' : 'col-resize';
  if (!item) return;
  tip.textContent = itemWords(item);
  const left = clamp(x + 14, 4, size.width - tip.offsetWidth - 4);
  const top = y + 18 + tip.offsetHeight > size.height ? y - tip.offsetHeight - 10 : y + 18;
  tip.style.transform = `translate(${left}px, ${top}px)`;
};

const live = document.getElementById('live');
let sayDue = 0;

/** Tells who cannot see the diagram; the last of many things said in haste. */
const say = (text) => {
  clearTimeout(sayDue);
  sayDue = setTimeout(() => { live.textContent = text; }, 200);
};

const copyReplay = async () => {
  const command = document.getElementById('replay');
  const told = document.getElementById('copied');
  try {
    await navigator.clipboard.writeText(command.textContent);
    told.textContent = 'Copied';
  } catch {
    // Files opened from a disk may not touch the clipboard: leave it selected.
    getSelection().selectAllChildren(command);
    told.textContent = 'Selected: copy it with your keyboard';
  }
  told.className = 'told';
  setTimeout(() => { told.className = 'sr'; }, 2_500);
};

const startInput = () => {
  canvas.addEventListener('keydown', onKey);
  canvas.addEventListener('pointerdown', onDown);
  canvas.addEventListener('pointermove', onMove);
  canvas.addEventListener('pointerup', onUp);
  canvas.addEventListener('pointercancel', () => { drag = null; });
  canvas.addEventListener('pointerleave', () => { tip.hidden = true; });
  canvas.addEventListener('wheel', onWheel, { passive: false });
  document.getElementById('copy').addEventListener('click', copyReplay);
  for (const button of document.querySelectorAll('[data-go]')) {
    button.addEventListener('click', () => ACTIONS[button.dataset.go]());
  }
  for (const button of document.querySelectorAll('[data-operation]')) {
    button.addEventListener('click', () => {
      goOperation(Number(button.dataset.operation));
      canvas.scrollIntoView({ block: 'nearest', behavior: isStill.matches ? 'auto' : 'smooth' });
    });
  }
  for (const button of document.querySelectorAll('[data-at]')) {
    button.addEventListener('click', () => {
      setCursor(Number(button.dataset.at));
      reveal(view.cursor);
    });
  }
};

