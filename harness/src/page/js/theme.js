// Light or dark: what the reader chose last, else what the system prefers.
(() => {
  'use strict';
  const root = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: dark)');
  let chosen = null;
  // Where pages may not store anything, the choice lasts as long as the page.
  try { chosen = localStorage.getItem('theme'); } catch { chosen = null; }
  const apply = () => {
    const dark = chosen ? chosen === 'dark' : system.matches;
    root.dataset.theme = dark ? 'dark' : 'light';
    const button = document.getElementById('theme');
    if (button) {
      button.querySelector('.word').textContent = dark ? ' Light' : ' Dark';
      button.title = dark ? 'Change to light' : 'Change to dark';
    }
    root.dispatchEvent(new CustomEvent('theme'));
  };
  apply();
  system.addEventListener('change', apply);
  addEventListener('DOMContentLoaded', () => {
    apply();
    document.getElementById('theme').addEventListener('click', () => {
      chosen = root.dataset.theme === 'dark' ? 'light' : 'dark';
      try { localStorage.setItem('theme', chosen); } catch { /* it lasts as long as the page */ }
      apply();
    });
  });
})();
