// The settings: a name, a language, notifications.

import { focusBox } from './composer.js';
import { elements } from './elements.js';
import { isOpen, send } from './link.js';
import { allowNotifications, mayNotify } from './notify.js';
import { me, wantName } from './room.js';
import { chooseLanguage, language, put, putText } from './words.js';

const page = elements(
  'self', 'me', 'settings', 'settings-close', 'naming', 'new-name', 'naming-problem', 'language', 'notify', 'notify-problem',
);

export function prepareSettings() {
  page.self.addEventListener('click', open);
  page['settings-close'].addEventListener('click', close);
  // A click beside the dialog is on its backdrop, which is the dialog itself.
  page.settings.addEventListener('click', ({ target }) => target === page.settings && close());
  page.settings.addEventListener('close', focusBox);
  page.naming.addEventListener('submit', (event) => {
    event.preventDefault();
    submitName(page['new-name'].value.trim());
  });
  page.language.value = language();
  page.language.addEventListener('change', () => chooseLanguage(page.language.value));
  page.notify.checked = mayNotify();
  page.notify.addEventListener('change', switchNotify);
}

// In the header, on the button that opens the settings.
export function showMyName() {
  page.me.textContent = me.name;
}

// The room has agreed to our new name: the dialog that asked for it has done its work.
export function nameTaken() {
  if (page.settings.open) close();
}

// The room has refused a name. Returns false if nobody looks at the settings: then it must be said elsewhere.
export function nameRefused(key, sentence) {
  if (page.settings.open) put(page['naming-problem'], key, {}, sentence);
  return page.settings.open;
}

function open() {
  page['new-name'].value = me.name;
  putText(page['naming-problem'], '');
  putText(page['notify-problem'], '');
  page.settings.showModal();
  page['new-name'].select();
}

function close() {
  page.settings.close();
}

function submitName(name) {
  putText(page['naming-problem'], '');
  if (name === me.name || name === '') close();
  else if (isOpen()) send(`/nick ${name}`); // the dialog closes when the room has agreed
  else {
    wantName(name); // asked for when we are connected
    close();
  }
}

async function switchNotify() {
  putText(page['notify-problem'], '');
  if (await allowNotifications(page.notify.checked)) return;
  page.notify.checked = false;
  put(page['notify-problem'], 'notify-denied');
}
