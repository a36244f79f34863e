// All events in a list around the cursor. Only the rows in sight exist.

const list = document.getElementById('list');
const sorts = document.getElementById('sorts');
const ROW = 24;
const [SENT, GOT, CALL, RETURN, EVENT, PART] = [0, 1, 2, 3, 4, 5];

/** Everything that happened, as time, sort and index; ordered by time. */
const everything = (() => {
  const all = [];
  const add = (at, sort, index) => all.push({ at, sort, index });
  for (let index = 0; index < messages.count; index += 1) {
    add(messages.sent[index], SENT, index);
    if (messages.first[index] <= payload.end) add(messages.first[index], GOT, index);
  }
  for (let index = 0; index < operations.count; index += 1) {
    add(operations.invoked[index], CALL, index);
    if (operations.end[index] !== UNKNOWN) add(operations.returned[index], RETURN, index);
  }
  events.at.forEach((at, index) => add(at, EVENT, index));
  const parts = nodes.flatMap((node) => node.parts.map((part) => ({ node, part })));
  parts.forEach(({ part }, index) => add(part.from, PART, index));
  all.sort((a, b) => a.at - b.at || a.sort - b.sort);
  return {
    at: Float64Array.from(all, (one) => one.at),
    sort: Uint8Array.from(all, (one) => one.sort),
    index: Uint32Array.from(all, (one) => one.index),
    parts,
  };
})();

const WANTED = {
  all: [SENT, GOT, CALL, RETURN, EVENT, PART],
  messages: [SENT, GOT],
  operations: [CALL, RETURN],
  nodes: [EVENT, PART],
};

let shown = { places: null, at: everything.at };

const filterList = () => {
  const sortsWanted = new Set(WANTED[sorts.value]);
  const places = [];
  everything.sort.forEach((sort, place) => { if (sortsWanted.has(sort)) places.push(place); });
  shown = {
    places: Uint32Array.from(places),
    at: Float64Array.from(places, (place) => everything.at[place]),
  };
  spacer.style.height = `${places.length * ROW}px`;
  followCursor();
};

/** A mark, who, and what. */
const eventWords = (place) => {
  const index = everything.index[place];
  switch (everything.sort[place]) {
    case SENT: {
      const mark = messages.isLost(index) ? '✕' : '↗';
      const who = `${nodes[messages.from[index]].name} → ${nodes[messages.to[index]].name}`;
      return { mark, who, what: strings[messages.text[index]], item: { kind: 'message', index } };
    }
    case GOT: {
      const mark = messages.isDropped(index) ? '✕' : '↘';
      const who = `${nodes[messages.to[index]].name} ← ${nodes[messages.from[index]].name}`;
      return { mark, who, what: strings[messages.text[index]], item: { kind: 'message', index } };
    }
    case CALL:
    case RETURN: {
      const isCall = everything.sort[place] === CALL;
      const mark = core.has(index) ? (index === stuck ? '✕' : circled(core.get(index))) : isCall ? '▷' : '◁';
      const what = isCall ? `calls: ${strings[operations.label[index]]}` : strings[operations.text[index]];
      return { mark, who: `p${operations.process[index]}`, what, item: { kind: 'operation', index } };
    }
    case EVENT: {
      const node = events.node[index];
      const mark = ['▲', '✕', '⚡', '▷', '▪'][events.kind[index]];
      const who = node < 0 ? 'cluster' : nodes[node].name;
      return { mark, who, what: strings[events.text[index]], item: { kind: 'event', index } };
    }
    default: {
      const { node, part } = everything.parts[index];
      const of = part.leader >= 0 && part.role !== LEADER ? `, follows ${nodes[part.leader].name}` : '';
      const mark = part.role === LEADER ? '★' : '•';
      return { mark, who: node.name, what: `is ${partWords(part)}${of}`, item: null };
    }
  }
};

const spacer = make('div', { className: 'spacer', role: 'presentation' });
let active = 0;

const renderList = () => {
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
  const last = Math.min(shown.at.length, first + Math.ceil(list.clientHeight / ROW) + 8);
  const rows = [];
  for (let row = first; row < last; row += 1) {
    const place = shown.places[row];
    const { mark, who, what, item } = eventWords(place);
    const isChosen = item && view.chosen?.kind === item.kind && view.chosen.index === item.index;
    const element = make('div', {
      id: `event-${row}`, className: 'event', role: 'option',
      'aria-selected': String(row === active), 'aria-setsize': String(shown.at.length),
      'aria-posinset': String(row + 1),
    },
    make('span', { className: 'when' }, (shown.at[row] / MS).toFixed(3)),
    make('span', { className: 'mark', 'aria-hidden': 'true' }, mark),
    make('span', { className: 'who' }, who),
    make('span', { className: 'what', title: what }, what));
    element.classList.toggle('past', shown.at[row] <= view.cursor);
    element.classList.toggle('chosen', Boolean(isChosen));
    element.classList.toggle('lost', mark === '✕');
    element.style.top = `${row * ROW}px`;
    element.addEventListener('click', () => goToRow(row));
    rows.push(element);
  }
  spacer.replaceChildren(...rows);
  list.dataset.rows = String(shown.at.length);
  list.dataset.rendered = String(rows.length);
  list.setAttribute('aria-activedescendant', `event-${active}`);
};

/** The last event at or before the cursor becomes the active one, and stands a third from the top. */
const followCursor = () => {
  const isThere = Math.abs((shown.at[active] ?? -1) - view.cursor) < 1;
  if (!isThere) active = Math.max(0, firstAfter(shown.at, view.cursor) - 1);
  list.scrollTop = Math.max(0, active * ROW - list.clientHeight / 3);
  renderList();
};

const goToRow = (row) => {
  if (shown.at.length === 0) return;
  active = clamp(row, 0, shown.at.length - 1);
  setCursor(shown.at[active]);
  reveal(shown.at[active]);
  const { item } = eventWords(shown.places[active]);
  if (item) choose(item);
};

/** The place of the event after (1) or before (-1) the cursor. */
const eventFrom = (way) => {
  const isThere = Math.abs((shown.at[active] ?? -1) - view.cursor) < 1;
  if (isThere) return active + way;
  return way > 0 ? firstAfter(shown.at, view.cursor) : firstFrom(shown.at, view.cursor) - 1;
};

const startList = () => {
  list.append(spacer);
  list.addEventListener('scroll', renderList, { passive: true });
  list.addEventListener('keydown', (event) => {
    const page = Math.max(1, Math.floor(list.clientHeight / ROW) - 1);
    const rows = {
      ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page,
      Home: 0, End: shown.at.length - 1, Enter: active,
    };
    if (!(event.key in rows)) return;
    event.preventDefault();
    goToRow(rows[event.key]);
  });
  sorts.addEventListener('change', filterList);
  filterList();
};

