for (const b of document.querySelectorAll('button[data-copy]')) {
  b.hidden = false;
  b.addEventListener('click', async () => {
    const text = document.getElementById(b.dataset.copy).textContent;
    try { await navigator.clipboard.writeText(text); b.textContent = 'copied'; }
    catch { b.textContent = 'select it and press Ctrl+C'; }
  });
}
const filter = document.getElementById('filter');
if (filter) {
  filter.parentElement.hidden = false;
  filter.addEventListener('input', () => {
    const want = filter.value.toLowerCase();
    for (const d of document.querySelectorAll('.cluster')) d.hidden = !d.textContent.toLowerCase().includes(want);
  });
}
