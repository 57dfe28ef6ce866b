// The emoji picker: a modest set in groups, as text. The system's own font draws them, so there are no pictures to load.

import { put, putAttribute } from './words.js';

// Each group by the key of its heading.
const GROUPS = {
  'emoji-faces': '😀 😄 😁 😆 😅 😂 🤣 🙂 😉 😊 😇 😍 😘 😋 😜 🤪 🤗 🤭 🤔 🤨 😐 😏 🙄 😬 😌 😴 😷 🤒 🤯 😎 🤓 😕 😮 😳 🥺 😢 😭 😱 😤 😡 🥳 😈',
  'emoji-people': '👋 🖐️ ✋ 👌 ✌️ 🤞 👈 👉 👆 👇 👍 👎 ✊ 👏 🙌 🙏 💪 🤝 ✍️ 👀 🧠 🙈 🙉 🙊 🙋 🤷 🤦 🏃 💃 👶 👩 👨 👵 👴',
  'emoji-nature': '🐶 🐱 🐭 🐰 🦊 🐻 🐼 🐯 🐮 🐷 🐸 🐵 🐔 🐧 🐟 🐬 🦋 🐝 🌱 🌳 🌸 🌹 🌻 🍀 ☀️ 🌙 ⭐ 🌧️ ⛄ 🌈 🔥 🌊',
  'emoji-food': '🍎 🍊 🍌 🍉 🍇 🍓 🍑 🥕 🍞 🧀 🍳 🍔 🍟 🍕 🥟 🍜 🍚 🍣 🥢 🎂 🍰 🍫 🍦 ☕ 🍵 🍺 🍷 🥂',
  'emoji-going': '🏠 🏙️ ⛰️ 🏖️ 🗺️ 🧭 🚲 🚗 🚌 🚆 ✈️ 🚀 ⚽ 🏀 🏓 🎮 🎲 🎵 🎸 🎬 📷 📚 💻 📱 ⏰ 🎁 🎈 🎉',
  'emoji-signs': '❤️ 🧡 💛 💚 💙 💜 💔 💯 ✅ ❌ ❓ ❗ ⚠️ 💡 🔔 🔒 ➕ ➖ ➡️ ⬅️ ⬆️ ⬇️ ♻️ 💤 💬 🆗 🆕 🇨🇳 🇬🇧 🌍',
};

// `button` opens and closes `panel`; a chosen emoji goes to `insert`. `done` puts the focus back to where one types.
export function prepareEmoji(button, panel, insert, done) {
  const show = (open) => {
    if (open && !panel.hasChildNodes()) fillPanel(panel);
    panel.hidden = !open;
    button.setAttribute('aria-expanded', String(open));
    if (open) panel.querySelector('[tabindex="0"]').focus();
  };
  const close = () => {
    show(false);
    done();
  };
  button.addEventListener('click', () => (panel.hidden ? show(true) : close()));
  panel.addEventListener('click', ({ target }) => {
    if (!target.matches('button')) return;
    insert(target.textContent);
    close();
  });
  panel.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') close();
    else if (!step(panel, event)) return;
    event.preventDefault();
  });
  // Somebody who goes on elsewhere is done with it. (The button does its own closing.)
  panel.addEventListener('focusout', ({ relatedTarget }) => {
    if (relatedTarget && relatedTarget !== button && !panel.contains(relatedTarget)) show(false);
  });
  document.addEventListener('pointerdown', ({ target }) => {
    if (!panel.hidden && !panel.contains(target) && !button.contains(target)) show(false);
  });
}

function fillPanel(panel) {
  for (const [key, emoji] of Object.entries(GROUPS)) {
    const heading = document.createElement('p');
    put(heading, key);
    const group = document.createElement('div');
    group.className = 'emoji-group';
    group.setAttribute('role', 'group');
    putAttribute(group, 'aria-label', key);
    for (const one of emoji.split(' ')) {
      const choice = document.createElement('button');
      choice.type = 'button';
      choice.tabIndex = -1; // one stop for Tab, and arrows within: two hundred stops would be a wall
      choice.textContent = one;
      group.append(choice);
    }
    panel.append(heading, group);
  }
  panel.querySelector('button').tabIndex = 0;
}

// Up and down go to what lies nearest above and below on the screen, also across groups and however wide the panel is.
function step(panel, { key, target }) {
  const all = [...panel.querySelectorAll('button')];
  const at = all.indexOf(target);
  const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[key];
  let goal = all[next];
  if (key === 'ArrowDown' || key === 'ArrowUp') {
    const down = key === 'ArrowDown';
    const here = target.getBoundingClientRect();
    const side = (element) => element.getBoundingClientRect();
    const beyond = all.filter((one) => (down ? side(one).top > here.top + 1 : side(one).top < here.top - 1));
    const row = side((down ? beyond[0] : beyond.at(-1)) ?? target).top;
    const inRow = beyond.filter((one) => Math.abs(side(one).top - row) < 1);
    goal = inRow.sort((a, b) => Math.abs(side(a).left - here.left) - Math.abs(side(b).left - here.left))[0];
  } else if (next === undefined) {
    return false;
  }
  if (goal) {
    target.tabIndex = -1;
    goal.tabIndex = 0;
    goal.focus();
  }
  return true;
}
