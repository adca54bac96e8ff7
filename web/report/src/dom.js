// Elements from code. Text is always text: nothing here or elsewhere on the page reads data as HTML.

/** el('td', { class: 'n', title: 'x', onclick: f }, 'text', child, [more]) */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value)
    else if (name === 'style') node.style.cssText = value
    else node.setAttribute(name, value === true ? '' : value)
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false))
  return node
}

let ids = 0
export const freshId = (stem) => `${stem}-${++ids}`

/** Stacks the cells of each row one below the other, with their labels, while the table is wider than its place. */
function stackWhenTooWide(host, grid) {
  let width = 0
  new ResizeObserver(() => requestAnimationFrame(() => {
    if (host.clientWidth === width) return
    width = host.clientWidth
    grid.classList.remove('stacked')
    grid.classList.toggle('stacked', grid.scrollWidth > width)
  })).observe(host)
}

/**
 * A table for reading: header cells, rows of cells; a cell is text, a node, or null. Columns of `numeric` are set right.
 * tooWide: what happens where there is no room for all columns, 'stack' or 'scroll'. The roles are spelled out because a
 * stacked table is no table to the browser.
 */
export function table(caption, header, rows, numeric = [], tooWide = 'stack') {
  const side = (index) => (numeric.includes(index) ? 'n' : null)
  const grid = el('table', { class: 'data', role: 'table' },
    el('caption', { class: 'unseen' }, caption),
    el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' },
      header.map((text, i) => el('th', { scope: 'col', role: 'columnheader', class: side(i) }, text)))),
    el('tbody', { role: 'rowgroup' }, rows.map((row) => el('tr', { role: 'row' }, row.map((cell, i) => (i === 0
      ? el('th', { scope: 'row', role: 'rowheader', class: side(i) }, cell ?? '')
      : el('td', { class: side(i), role: 'cell', 'data-label': header[i] }, cell ?? '–')))))))
  const host = el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption }, grid)
  if (tooWide === 'stack') stackWhenTooWide(host, grid)
  return host
}

/** A bar of a share (0 to 1) with its text beside it. */
export const bar = (share, text) =>
  el('span', { class: 'bar' },
    el('span', { class: 'track', 'aria-hidden': 'true' },
      el('span', { class: 'fill', style: `width:${Math.max(0, Math.min(1, share || 0)) * 100}%` })),
    el('span', { class: 'n' }, text))

/** Buttons of which one is chosen: a tab list, moved through with the arrow keys. items: {name, title, show(panel)}. */
export function tabs(label, items, panel, chosen = 0) {
  const buttons = items.map((item, index) => el('button', {
    type: 'button', role: 'tab', id: freshId('tab'), 'aria-controls': panel.id, title: item.title, onclick: () => choose(index),
  }, item.name))
  const choose = (index, focus) => {
    buttons.forEach((button, i) => {
      button.setAttribute('aria-selected', String(i === index))
      button.tabIndex = i === index ? 0 : -1
    })
    panel.setAttribute('role', 'tabpanel')
    panel.setAttribute('aria-labelledby', buttons[index].id)
    if (focus) buttons[index].focus()
    items[index].show()
  }
  const list = el('div', { class: 'tabs', role: 'tablist', 'aria-label': label, onkeydown: (event) => {
    const now = buttons.indexOf(document.activeElement)
    const next = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: buttons.length - 1 }[event.key]
    if (now < 0 || next === undefined) return
    event.preventDefault()
    choose((next + buttons.length) % buttons.length, true)
  } }, buttons)
  choose(chosen)
  return list
}

/** A command that can be copied. */
export const command = (text) => el('code', { class: 'command', tabindex: 0 }, text)

export const details = (summary, ...children) => el('details', {}, el('summary', {}, summary), children)
