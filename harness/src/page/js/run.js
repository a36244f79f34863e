// The run: what the data says, ready to be looked up.

const strings = payload.strings;

const nodes = payload.nodes.map((name, index) => {
  const own = [];
  payload.states.node.forEach((node, state) => { if (node === index) own.push(state); });
  return { name, index, own };
});

const states = (() => {
  const at = times(payload.states.at);
  const count = at.length;
  const width = payload.gauges.length;
  const gauges = new Float64Array(count * width).fill(NaN);
  const last = nodes.map(() => -1);
  for (let state = 0; state < count; state += 1) {
    const node = payload.states.node[state];
    const before = last[node];
    if (before >= 0) gauges.copyWithin(state * width, before * width, (before + 1) * width);
    const changed = payload.states.gauges[state];
    for (let place = 0; place < changed.length; place += 2) {
      gauges[state * width + changed[place]] = changed[place + 1];
    }
    last[node] = state;
  }
  const { node, condition, role, epoch, leader } = payload.states;
  return { at, node, condition, role, epoch, leader, width, gauges };
})();

/** Stretches in which a node's part stayed the same: what its lane shows. */
for (const node of nodes) {
  node.at = Float64Array.from(node.own, (state) => states.at[state]);
  node.parts = [];
  let last = null;
  for (const state of node.own) {
    const part = {
      from: states.at[state],
      until: payload.end,
      condition: states.condition[state],
      role: states.role[state],
      epoch: states.epoch[state],
      leader: states.leader[state],
      state,
    };
    const same = last && ['condition', 'role', 'epoch', 'leader']
      .every((name) => last[name] === part[name]);
    if (same) continue;
    if (last) last.until = part.from;
    node.parts.push(part);
    last = part;
  }
  node.begins = Float64Array.from(node.parts, (part) => part.from);
}

/** The index of the state of `node` at `at`; -1 before the first. */
const stateAt = (node, at) => {
  const place = firstAfter(node.at, at) - 1;
  return place < 0 ? -1 : node.own[place];
};

const partAt = (node, at) => node.parts[firstAfter(node.begins, at) - 1];

/** How a node is, in a word or two. */
const partWords = (part) => {
  if (!part) return '';
  if (part.condition !== UP) return CONDITIONS[part.condition];
  const role = ROLES[part.role] ?? 'up';
  return part.role === REPLICA || part.epoch === 0 ? role : `${role} e${part.epoch}`;
};

const messages = (() => {
  const { from, to, heard, text } = payload.messages;
  const sent = times(payload.messages.sent);
  const count = sent.length;
  const arrival = (column) => Float64Array.from(column, (passed, index) => (
    passed < 0 ? NaN : sent[index] + passed));
  const first = arrival(payload.messages.first);
  const second = arrival(payload.messages.second);
  const flights = payload.messages.first.filter((passed) => passed >= 0).sort((a, b) => a - b);
  const usual = flights[flights.length >> 1] ?? MS;
  // Few messages are under way for long. They are kept apart, so that the others can be found by
  // when they were sent.
  const long = Math.max(4 * usual, flights[Math.floor(flights.length * 0.98)] ?? 0);
  const slow = [];
  const quick = [];
  let slowest = long;
  for (let index = 0; index < count; index += 1) {
    const last = Math.max(first[index] || 0, second[index] || 0);
    if (last - sent[index] > long) {
      slow.push(index);
      slowest = Math.max(slowest, last - sent[index]);
    } else {
      quick.push(index);
    }
  }
  const group = (indexes, flight) => ({
    indexes: Uint32Array.from(indexes),
    sent: Float64Array.from(indexes, (index) => sent[index]),
    flight,
  });
  return {
    count, from, to, heard, text, sent, first, second, usual, long,
    groups: [group(quick, long), group(slow, slowest)],
    isLost: (index) => Number.isNaN(first[index]),
    isDropped: (index) => !Number.isNaN(first[index]) && !heard[index] && first[index] <= payload.end,
    isLate: (index) => first[index] - sent[index] > 4 * usual,
  };
})();

const messageFate = (index) => {
  if (messages.isLost(index)) return 'lost';
  if (messages.first[index] > payload.end) return 'still under way at the end';
  const passed = length(messages.first[index] - messages.sent[index]);
  const twice = Number.isNaN(messages.second[index])
    ? '' : `, and again after ${length(messages.second[index] - messages.sent[index])}`;
  const fate = messages.heard[index] ? 'arrived' : 'reached a host that never heard it,';
  return `${fate} after ${passed}${twice}`;
};

const bands = payload.bands.map((band, index) => ({ ...band, index }));
const bandBegins = Float64Array.from(bands, (band) => band.from);
const stopsNode = (band) => band.kind === 'node' && /^(down|paused)/.test(band.label);

const events = { ...payload.events, at: times(payload.events.at) };

const operations = (() => {
  const { process, node, end, kind, label, text, lasted } = payload.operations;
  const invoked = times(payload.operations.invoked);
  const returned = Float64Array.from(invoked, (at, index) => at + lasted[index]);
  return { count: invoked.length, process, node, end, kind, label, text, invoked, returned };
})();

const findings = payload.findings;
const finding = findings[0];
/** The place of an operation among those that contradict each other, from one; or none. */
const core = new Map((finding?.core ?? []).map((operation, place) => [operation, place + 1]));
const concerned = new Set(finding?.operations ?? []);
const stuck = finding?.stuck ?? -1;
const holdsConcerned = new Set(finding?.holds ?? []);

