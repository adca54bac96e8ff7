// The report: reads the data beside this script and draws a section for every part that is there.
import { toggleTheme } from './colour.js'
import { command, details, el, freshId } from './dom.js'
import { heatMap } from './heat.js'
import { pareto } from './pareto.js'
import { bottomLine, contributors, evaluations, judge, judgedByTasks, judgedByText, missing, tasks, texts, tiles } from './parts.js'
import { claims, orders, sweepChart, tiers } from './sweep.js'
import './style.css'

const logo = () => {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  svg.setAttribute('viewBox', '0 0 24 24')
  svg.setAttribute('aria-hidden', 'true')
  for (const [y, width] of [[4, 20], [10.5, 14], [17, 8]]) {
    const rect = document.createElementNS('http://www.w3.org/2000/svg', 'rect')
    for (const [name, value] of Object.entries({ x: 2, y, width, height: 4, rx: 1.2 })) rect.setAttribute(name, value)
    svg.append(rect)
  }
  return svg
}

/** A section in a place of the grid, 'full', 'wide' or 'narrow'. One whose data cannot be drawn says so, and leaves the others alone. */
function section(title, place, draw) {
  const id = freshId('part')
  const body = []
  let lead = ''
  let how = []
  try {
    const made = draw()
    lead = made.lead ?? ''
    how = [...new Set((made.commands ?? []).filter((text) => typeof text === 'string' && text))]
    body.push(made.node)
  } catch (error) {
    body.push(el('p', { class: 'damaged', role: 'alert' }, `This part's data could not be drawn (${error.message}).`))
  }
  return el('section', { class: `part ${place}`, 'aria-labelledby': id }, el('h2', { id }, title), lead ? el('p', { class: 'lead' }, lead) : '', body,
    how.length ? details(how.length === 1 ? 'Command' : 'Commands', how.map(command)) : '')
}

/** Two sections side by side; each has the whole width where the other is missing. A section is [title, draw] or nothing. */
function pair(left, right, places = ['wide', 'narrow']) {
  const there = [left, right].filter(Boolean)
  return there.map(([title, draw], index) => section(title, there.length === 2 ? places[index] : 'full', draw))
}

function bits(data) {
  if (!data.grid || !(data.plan || data.signals?.length)) return []
  const commands = [data.plan?.command, ...(data.signals ?? []).map((signal) => signal.command)]
  return [section(data.plan ? 'Where the bits went' : 'What matters', 'full', () => ({ node: heatMap(data), commands }))]
}

function losses(data) {
  const sizes = data.pareto && ['What other sizes would cost', () => {
    const { node, plan, measured } = pareto(data)
    const mark = (kind, text) => el('span', {}, el('i', { class: `mark ${kind}`, 'aria-hidden': 'true' }), text)
    const marks = [mark('line', 'best plan of each size'), mark('square', 'one codec everywhere'), plan && mark('ring', 'this plan, estimated'),
      measured && mark('diamond', 'this plan, measured')]
    return { lead: el('span', { class: 'marks' }, marks), node, commands: [data.pareto.command] }
  }]
  const priced = attempt(() => data.grid && data.plan.cost_signal && data.plan.groups.some((group) => group.cost > 0))
  const groups = priced && ['Where the loss comes from', () => {
    const { lead, node } = contributors(data)
    return { lead, node, commands: [data.plan.command] }
  }]
  return pair(sizes, groups)
}

function measurements(data) {
  const lead = 'KL divergence in nats per token, original against quantized, with its standard error.'
  const paired = 'Means over the items with their standard errors; the difference is taken item by item.'
  const list = (title, lead, entries, draw) =>
    entries.length ? [section(title, 'full', () => ({ lead, node: draw(data), commands: entries.map((entry) => entry.command) }))] : []
  return [...list('What was measured', lead, judgedByText(data), evaluations), ...list('Tasks', paired, judgedByTasks(data), tasks)]
}

function sweeps({ sweep }) {
  if (!sweep) return []
  const lead = `Blocks go from ${sweep.high} to ${sweep.low} in one order after another; the lower a curve stays, the better its order tells which blocks matter.`
  const best = 'Mean KL over the whole curve, and the share of the blocks lowered when a tenth and half of the loss is reached.'
  return [
    ...pair(['Lowering blocks one after another', () => ({ lead, node: sweepChart(sweep), commands: [sweep.command] })],
      ['Which order is best', () => ({ lead: best, node: orders(sweep) })]),
    ...pair(sweep.claims?.length && ['What the literature says, on this model', () => ({ node: claims(sweep), commands: [sweep.command && `${sweep.command} --claims`] })],
      sweep.plans?.length && ['Three tiers against FP8', () => ({ node: tiers(sweep), commands: [sweep.command] })]),
  ]
}

const judgements = (data) => pair(
  data.judge && ['How good each signal is', () => ({ lead: `Held against the measured KL divergence of each group at ${data.judge.codec}: 1 is the same ranking, 0 none.`, node: judge(data), commands: [data.judge.command] })],
  data.texts && ['The same prompt, both models', () => ({ lead: 'Most likely continuation; marked from the first word that differs.', node: texts(data), commands: [data.texts.command] })],
  ['narrow', 'wide'],
)

function absent(data) {
  if (!data.missing?.length) return []
  return [section('Not in this report', 'full', () => ({ lead: 'Each of these can be added.', node: el('div', { class: 'missing' }, missing(data.missing)) }))]
}

const parts = (data) => [bits, losses, measurements, sweeps, judgements, absent].flatMap((make) => make(data))

/** What `draw` returns, or nothing where its data is damaged. */
function attempt(draw) {
  try {
    return draw()
  } catch {
    return ''
  }
}

function report(data) {
  const name = data.output?.path ?? data.model?.name ?? 'report'
  document.title = `${name} · strata report`
  const facts = [data.model?.model_type, data.plan?.preset && `preset ${data.plan.preset}`, data.plan?.target && `for ${data.plan.target}`].filter(Boolean).join(' · ')
  return [
    el('header', { class: 'top' },
      el('div', { class: 'brand' }, logo(), el('span', {}, 'strata'), el('span', { class: 'path' }, name)),
      el('button', { type: 'button', class: 'quiet', onclick: toggleTheme }, 'light / dark')),
    el('main', {}, el('div', { class: 'hero' }, facts ? el('p', { class: 'facts' }, facts) : '', el('h1', {}, attempt(() => bottomLine(data)) || 'strata report'), attempt(() => tiles(data))), el('div', { class: 'parts' }, parts(data))),
    el('footer', {}, data.model ? `Original ${data.model.path}, fingerprint ${data.model.fingerprint}.` : '', ' Bits count every byte written for the linears: scales, zero points and padding.'),
  ]
}

const host = document.getElementById('report')
try {
  const data = JSON.parse(document.getElementById('data').textContent)
  if (data === null || typeof data !== 'object') throw new Error('there is no data in it; strata report puts it there')
  host.append(...report(data))
} catch (error) {
  host.append(el('p', { class: 'damaged', role: 'alert' }, `This report cannot be shown: ${error.message}.`))
}
