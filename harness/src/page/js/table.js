// Every node at the cursor: its part, and what it tells of itself.

const table = document.getElementById('table');
let tableCells = [];

/** Gauges that ever change, or differ between nodes. The others are told once, below. */
const livelyGauges = range(states.width).filter((gauge) => {
  const values = new Set();
  for (let at = gauge; at < states.gauges.length; at += states.width) {
    if (!Number.isNaN(states.gauges[at])) values.add(states.gauges[at]);
  }
  return values.size > 1;
});

const constantWords = () => {
  const quiet = range(states.width).filter((gauge) => !livelyGauges.includes(gauge));
  if (quiet.length === 0) return '';
  const words = quiet.map((gauge) => {
    const known = states.gauges.filter((_, at) => at % states.width === gauge);
    return `${payload.gauges[gauge]} ${known.find((value) => !Number.isNaN(value)) ?? ''}`.trim();
  });
  return `The same everywhere, all the time: ${words.join(', ')}.`;
};

const buildTable = () => {
  if (states.at.length === 0) {
    table.replaceWith(make('p', { className: 'hint' },
      'This world cannot look into its nodes: only what clients saw is known.'));
    return;
  }
  const columns = ['node', 'part', 'epoch', 'leader', ...livelyGauges.map((gauge) => payload.gauges[gauge])];
  const head = make('thead', {}, make('tr', {},
    ...columns.map((name) => make('th', { scope: 'col' }, name))));
  const body = make('tbody');
  tableCells = nodes.map((node) => {
    const name = make('th', { scope: 'row' }, node.name);
    const cells = range(columns.length - 1).map(() => make('td'));
    body.append(make('tr', {}, name, ...cells));
    return cells;
  });
  document.getElementById('constant').textContent = constantWords();
  table.append(make('caption', { className: 'sr' }, 'State of every node at the cursor'), head, body);
};

const setCell = (cell, text, isNew) => {
  if (cell.textContent !== text) cell.textContent = text;
  cell.classList.toggle('changed', isNew);
};

/** What is not a number is not known. */
const numberText = (value) => (Number.isNaN(value) ? '' : String(value));

const showTable = () => {
  document.querySelector('#states .at').textContent = millis(view.cursor);
  tableCells.forEach((cells, index) => {
    const node = nodes[index];
    const place = firstAfter(node.at, view.cursor) - 1;
    const [now, before] = [node.own[place], node.own[place - 1]];
    if (now === undefined) {
      cells.forEach((cell) => setCell(cell, '', false));
      return;
    }
    const isUp = states.condition[now] === UP;
    const part = isUp ? ROLES[states.role[now]] ?? 'up' : CONDITIONS[states.condition[now]];
    const mark = !isUp ? '✕ ' : states.role[now] === LEADER ? '★ ' : '';
    const leader = states.leader[now] >= 0 ? nodes[states.leader[now]].name : '–';
    const differs = (column) => before !== undefined && states[column][now] !== states[column][before];
    setCell(cells[0], mark + part, differs('role') || differs('condition'));
    setCell(cells[1], isUp ? String(states.epoch[now]) : '', differs('epoch'));
    setCell(cells[2], isUp ? leader : '', differs('leader'));
    livelyGauges.forEach((gauge, column) => {
      const value = states.gauges[now * states.width + gauge];
      const last = before === undefined ? NaN : states.gauges[before * states.width + gauge];
      const isNew = isUp && before !== undefined && value !== last && !Number.isNaN(value);
      setCell(cells[3 + column], isUp ? numberText(value) : '', isNew);
    });
    cells[0].parentElement.dataset.part = isUp ? part : 'stopped';
  });
};

