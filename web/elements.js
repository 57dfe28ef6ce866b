// Elements of the page: those of index.html by their ids, and new ones.

// An object with the element of each id: `const page = elements('text', 'send')` gives `page.text` and `page.send`.
export function elements(...ids) {
  return Object.fromEntries(ids.map((id) => [id, document.getElementById(id)]));
}

// The text goes in through textContent. No function of the page takes HTML, so there is nothing to escape.
export function create(tag, className, text = '') {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}
