// What was chosen, in full.

const chosenBox = document.getElementById('chosen');

const facts = (pairs) => make('dl', {}, ...pairs.flatMap(([name, value]) => (
  value === null ? [] : [make('dt', {}, name), make('dd', {}, value)])));

/** Shows a Debug print with an indented line for every level of nesting. */
const pretty = (text) => {
  let [out, depth, quoted] = ['', 0, false];
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (char === '"' && text[at - 1] !== '\\') quoted = !quoted;
    if (quoted || text.length < 100) {
      out += char;
    } else if ('{[('.includes(char)) {
      const isEmpty = '}])'.includes(text[at + 1]);
      depth += 1;
      out += isEmpty ? char : `${char}\n${'  '.repeat(depth)}`;
    } else if ('}])'.includes(char)) {
      const isEmpty = '{[('.includes(text[at - 1]);
      depth = Math.max(0, depth - 1);
      out += isEmpty ? char : `\n${'  '.repeat(depth)}${char}`;
    } else if (char === ',') {
      out += `,\n${'  '.repeat(depth)}`;
      if (text[at + 1] === ' ') at += 1;
    } else {
      out += char;
    }
  }
  return out;
};

const messageDetails = (index) => [
  make('h3', {}, `Message ${nodes[messages.from[index]].name} → ${nodes[messages.to[index]].name}`),
  facts([
    ['sent', millis(messages.sent[index])],
    ['arrived', messages.isLost(index) ? null : millis(messages.first[index])],
    ['fate', messageFate(index)],
  ]),
  make('pre', {}, pretty(strings[messages.text[index]])),
];

const operationDetails = (index) => [
  make('h3', {}, strings[operations.text[index]]),
  facts([
    ['called', millis(operations.invoked[index])],
    ['returned', operations.end[index] === UNKNOWN ? null : millis(operations.returned[index])],
    ['ended', ENDS[operations.end[index]]],
    ['asked', nodes[operations.node[index]]?.name ?? null],
    ['mark', index === stuck ? '✕ nothing explains it'
      : core.has(index) ? `${circled(core.get(index))} contradicts the others` : null],
  ]),
];

const bandDetails = (index) => {
  const band = bands[index];
  return [
    make('h3', {}, `Fault: ${band.label}`),
    facts([['from', millis(band.from)], ['until', millis(band.until)]]),
  ];
};

const holdDetails = (index) => {
  const { lock, owner, token, granted, lease, believed } = payload.holds;
  return [
    make('h3', {}, `p${owner[index]} held lock ${lock[index]}, token ${token[index]}`),
    facts([
      ['granted', millis(granted[index])],
      ['lease until', millis(lease[index])],
      ['believed until', millis(believed[index])],
    ]),
  ];
};

const eventDetails = (index) => [
  make('h3', {}, `${nodes[events.node[index]]?.name ?? 'Cluster'}: ${EVENTS[events.kind[index]]}`),
  facts([['at', millis(events.at[index])]]),
  make('pre', {}, pretty(strings[events.text[index]])),
];

const DETAILS = {
  message: messageDetails, operation: operationDetails, band: bandDetails, hold: holdDetails,
  event: eventDetails,
};

const showChosen = () => {
  const { chosen } = view;
  if (!chosen) {
    chosenBox.replaceChildren(make('p', { className: 'hint' }, 'Nothing is chosen.'));
    delete canvas.dataset.chosen;
    return;
  }
  chosenBox.replaceChildren(...DETAILS[chosen.kind](chosen.index));
  canvas.dataset.chosen = `${chosen.kind} ${chosen.index}`;
  for (const button of document.querySelectorAll('[data-operation]')) {
    const isIt = chosen.kind === 'operation' && Number(button.dataset.operation) === chosen.index;
    button.toggleAttribute('aria-current', isIt);
  }
};

