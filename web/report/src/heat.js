// The map of blocks x roles: a real table, so that it can be read by ear and walked through with the arrow keys.
// Roles are rows where there is room for the blocks side by side, and columns where there is not.
import { gradient, onTheme, shade } from './colour.js'
import { el, freshId, table, tabs } from './dom.js'
import { bytes, figure, groupTitle, isNumber, percent } from './format.js'

const kNarrowestCell = 21
const kRoomForText = 34

/** Rows, and the linears of each in every block: by role, by fusion group, or the whole block. */
function rowsOf(grid, of) {
  const rows = new Map()
  const outside = []
  grid.linears.forEach((linear, index) => {
    const name = of === 'block' ? 'block' : of === 'group' ? groupTitle(grid, linear.group).replace(/^block \d+ · /, '') : linear.role
    if (linear.block === null) {
      outside.push({ name, linears: [index] })
      return
    }
    if (!rows.has(name)) rows.set(name, [])
    const blocks = rows.get(name)
    ;(blocks[linear.block] ??= []).push(index)
  })
  return { rows: [...rows].map(([name, blocks]) => ({ name, blocks })), outside: of === 'block' ? [] : outside }
}

/** The mean over several linears (the experts of a block), each counted by its weights. */
function mean(grid, linears, value) {
  let sum = 0
  let weights = 0
  for (const index of linears ?? []) {
    if (!isNumber(value(index))) continue
    sum += value(index) * grid.linears[index].weights
    weights += grid.linears[index].weights
  }
  return weights > 0 ? sum / weights : null
}

/** Where a value stands between the least and the greatest: halfway between its size (by decades when they span many) and
 * its rank among the values that differ to a reader, so that close ones are still told apart. */
function scaleOf(values, downwards) {
  const known = values.filter(isNumber)
  const least = Math.min(...known)
  const greatest = Math.max(...known)
  const logarithmic = least > 0 && greatest / least > 30
  const map = logarithmic ? Math.log : (value) => value
  const span = map(greatest) - map(least)
  const read = (value) => Number(value.toPrecision(3))
  const different = [...new Set(known.map(read))].sort((a, b) => a - b)
  const rank = (value) => different.filter((other) => other < read(value)).length / Math.max(1, different.length - 1)
  const place = (value) => {
    const size = span > 0 ? (map(value) - map(least)) / span : 0.5
    const up = 0.5 * size + 0.5 * rank(value)
    return downwards ? 1 - up : up
  }
  return { place, least, greatest, logarithmic, known: known.length > 0 }
}

function bitsView(data) {
  const { grid, plan } = data
  const group = (index) => plan.groups[grid.linears[index].group]
  return {
    name: 'bits', of: 'linear', unit: 'bits', value: (index) => group(index).bits,
    lead: 'Bits each linear was given, scales and padding counted. Linears that a runtime fuses share a codec.',
    ends: ['fewer bits', 'more bits'], digits: 2, plan: true,
    extra: (linears) => {
      const entry = group(linears[0])
      const cost = isNumber(entry.cost) && plan.cost_signal ? `, estimated loss ${figure(entry.cost)}` : ''
      const kept = entry.as_in_source ? ', as in the source' : ''
      return `${entry.codec}${kept}, ${bytes(entry.bytes)} for the group${cost}`
    },
  }
}

function signalView(data, signal) {
  const { grid } = data
  const at = (list, index) =>
    list?.[signal.of === 'block' ? grid.linears[index].block : signal.of === 'group' ? grid.linears[index].group : index]
  return {
    name: signal.codec ? `${signal.name} at ${signal.codec}` : signal.name, of: signal.of, unit: signal.name,
    value: (index) => at(signal.values, index), signal,
    lead: `${signal.name}: ${signal.meaning}${signal.codec ? `, at ${signal.codec}` : ''}. Measured on ${signal.calibration}.`
      + (isNumber(signal.stability) ? ` Rank correlation between its two halves: ${figure(signal.stability)}.` : ''),
    ends: ['less important', 'more important'], downwards: signal.higher_is_important === false, digits: 3,
    extra: (linears) => {
      const error = at(signal.stderr, linears[0])
      return isNumber(error) ? `standard error ${figure(error, 2)}` : ''
    },
  }
}

/** Draws `view` into `host`; returns the figure's values as a table. */
function draw(host, readout, data, view) {
  const { grid } = data
  const { rows, outside } = rowsOf(grid, view.of)
  const cells = rows.map((row) => Array.from({ length: grid.blocks }, (_, block) => mean(grid, row.blocks[block], view.value)))
  const beside = outside.map((entry) => mean(grid, entry.linears, view.value))
  const scale = scaleOf([...cells.flat(), ...beside], view.downwards)
  const width = host.clientWidth || 800
  const wide = (width - 90) / grid.blocks >= kNarrowestCell
  const texts = wide ? (width - 90) / grid.blocks >= kRoomForText : true
  const sentence = (row, block) => {
    const value = cells[row][block]
    const place = view.of === 'block' ? `Block ${block}` : `Block ${block}, ${rows[row].name}`
    const extra = rows[row].blocks[block] ? view.extra(rows[row].blocks[block]) : ''
    return `${place}: ${figure(value, view.digits + 1)} ${view.unit === 'bits' ? 'bits' : ''}${extra ? `, ${extra}` : ''}`.replace(' ,', ',')
  }
  const nodes = rows.map(() => [])
  const cell = (row, block) => {
    const value = cells[row][block]
    const colours = isNumber(value) ? shade(scale.place(value)) : null
    const node = el('td', {
      role: 'gridcell', tabindex: row === 0 && block === 0 ? 0 : -1, 'aria-label': sentence(row, block),
      style: colours ? `background:${colours.background};color:${colours.text}` : '',
      onmouseenter: () => readout.replaceChildren(sentence(row, block)),
      onfocus: () => readout.replaceChildren(sentence(row, block)),
    }, texts && isNumber(value) ? el('span', {}, figure(value, view.digits)) : '')
    nodes[row][block] = node
    return node
  }
  const sparse = (block) => (texts || block % 5 === 0 ? String(block) : '')
  const head = (text, label) => el('th', { scope: 'col', role: 'columnheader', 'aria-label': label }, text)
  const side = (text, label) => el('th', { scope: 'row', role: 'rowheader', 'aria-label': label }, text)
  const blocks = Array.from({ length: grid.blocks }, (_, block) => block)
  const body = wide
    ? [el('tr', { role: 'row' }, head('', 'role'), blocks.map((b) => head(sparse(b), `block ${b}`))),
      rows.map((row, r) => el('tr', { role: 'row' }, side(row.name), blocks.map((b) => cell(r, b))))]
    : [el('tr', { role: 'row' }, head('', 'block'), rows.map((row) => head(row.name))),
      blocks.map((b) => el('tr', { role: 'row' }, side(String(b), `block ${b}`), rows.map((_, r) => cell(r, b))))]
  const move = (event) => {
    const turn = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key]
    const row = nodes.findIndex((list) => list.includes(document.activeElement))
    if (!turn || row < 0) return
    event.preventDefault()
    const block = nodes[row].indexOf(document.activeElement)
    const [down, right] = wide ? turn : [turn[1], turn[0]]
    const next = nodes[row + down]?.[block + right]
    if (!next) return
    document.activeElement.tabIndex = -1
    next.tabIndex = 0
    next.focus()
  }
  host.replaceChildren(el('table', {
    class: `heat ${wide ? 'wide' : 'tall'}`, role: 'grid', 'aria-label': `${view.name} by block and role`, onkeydown: move,
  }, body))
  const also = outside.map((entry, i) => `${entry.name}: ${figure(beside[i], view.digits)}${view.unit === 'bits' ? ' bits' : ''}`)
  readout.replaceChildren(also.length ? `Outside the blocks: ${also.join(', ')}. ` : '', 'Point at a cell, or walk with the arrow keys.')
  return { scale, rows, cells }
}

function legend(view, scale) {
  if (!scale.known) return ''
  const [low, high] = view.downwards ? [scale.greatest, scale.least] : [scale.least, scale.greatest]
  return el('div', { class: 'legend' },
    el('span', {}, `${view.ends[0]} · ${figure(low, view.digits)}`),
    el('span', { class: 'ramp', style: `background:${gradient()}`, 'aria-hidden': 'true' }),
    el('span', {}, `${figure(high, view.digits)} · ${view.ends[1]}${scale.logarithmic ? ' (logarithmic)' : ''}`))
}

/** Share of the weights that each codec has. */
function mix({ plan }, scale) {
  const codecs = new Map()
  let all = 0
  for (const group of plan.groups) {
    const entry = codecs.get(group.codec) ?? { weights: 0, bytes: 0, groups: 0 }
    entry.weights += group.weights
    entry.bytes += group.bytes
    entry.groups += 1
    all += group.weights
    codecs.set(group.codec, entry)
  }
  const parts = [...codecs].map(([name, entry]) => ({ name, ...entry, bits: (8 * entry.bytes) / entry.weights }))
    .sort((a, b) => a.bits - b.bits)
  return el('div', { class: 'mix' },
    el('div', { class: 'stack', 'aria-hidden': 'true' }, parts.map((part) =>
      el('span', { style: `flex-grow:${part.weights};background:${shade(scale.place(part.bits)).background}` }))),
    el('ul', { 'aria-label': 'codecs by share of the weights' }, parts.map((part) => el('li', {},
      el('i', { style: `background:${shade(scale.place(part.bits)).background}`, 'aria-hidden': 'true' }),
      el('b', {}, part.name), ` ${percent(part.weights / all, 0)} of the weights, ${figure(part.bits)} bits`))))
}

/** The figure with its tabs: bits, and every signal. */
export function heatMap(data) {
  const views = [...(data.plan ? [bitsView(data)] : []), ...(data.signals ?? []).map((signal) => signalView(data, signal))]
  const lead = el('p', { class: 'lead' })
  const host = el('div', { class: 'heat-host' })
  const readout = el('p', { class: 'readout' })
  const below = el('div', {})
  const values = el('div', {})
  const panel = el('div', { id: freshId('panel') }, lead, host, readout, below, values)
  let current = views[0]
  let drawnAt = 0
  const redraw = () => {
    drawnAt = host.clientWidth
    lead.textContent = current.lead
    const { scale, rows, cells } = draw(host, readout, data, current)
    below.replaceChildren(legend(current, scale), current.plan ? mix(data, scale) : '')
    values.replaceChildren(el('details', {}, el('summary', {}, 'Values as a table'),
      table(current.name, ['block', ...rows.map((row) => row.name)],
        Array.from({ length: data.grid.blocks }, (_, b) => [String(b), ...cells.map((row) => figure(row[b], 4))]),
        rows.map((_, i) => i + 1), 'scroll')))
  }
  const list = tabs('What the map shows', views.map((view) => ({ name: view.name, title: view.lead, show: () => {
    current = view
    if (host.isConnected) redraw()
  } })), panel)
  new ResizeObserver(() => Math.abs(host.clientWidth - drawnAt) > 1 && redraw()).observe(host)
  onTheme(redraw)
  return [list, panel]
}
