'use strict';
// Shows the rows that have every word of the filter, in whatever order.
(() => {
  const filter = document.getElementById('filter');
  const matches = document.getElementById('matches');
  const rows = [...document.querySelectorAll('tr[data-words]')];
  const sections = [...document.querySelectorAll('section.one')];
  const texts = rows.map((row) => row.dataset.words.toLowerCase());

  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, index) => {
      row.hidden = !words.every((word) => texts[index].includes(word));
      shown += row.hidden ? 0 : 1;
    });
    for (const section of sections) {
      section.hidden = !section.querySelector('tr[data-words]:not([hidden])');
    }
    matches.textContent = words.length ? `${shown} of ${rows.length} rows` : '';
  };
  filter.addEventListener('input', apply);
  filter.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') {
      filter.value = '';
      apply();
    }
  });
  apply();
})();
