// The report: reads the data beside this script and draws a section for every part that is there.
import { toggleTheme } from './colour.js'
import { command, details, el, freshId } from './dom.js'
import { heatMap } from './heat.js'
import { pareto } from './pareto.js'
import { bottomLine, contributors, evaluations, judge, missing, texts, tiles } from './parts.js'
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

/** A section; a part whose data cannot be drawn says so and leaves the others alone. */
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

function parts(data) {
  const list = []
  const add = (...args) => list.push(section(...args))
  if (data.grid && (data.plan || data.signals?.length))
    add(data.plan ? 'Where the bits went' : 'What matters', 'full', () => ({ node: heatMap(data), commands: [data.plan?.command, ...(data.signals ?? []).map((signal) => signal.command)] }))
  if (data.pareto) add('What other sizes would cost', 'wide', () => {
    const { node, plan, measured } = pareto(data)
    const mark = (kind, text) => el('span', {}, el('i', { class: `mark ${kind}`, 'aria-hidden': 'true' }), text)
    const marks = [mark('line', 'best plan of each size'), mark('square', 'one codec everywhere'), plan && mark('ring', 'this plan, estimated'),
      measured && mark('diamond', 'this plan, measured')]
    return { lead: el('span', { class: 'marks' }, marks), node, commands: [data.pareto.command] }
  })
  if (data.plan?.cost_signal && data.grid && data.plan.groups.some((group) => group.cost > 0)) add('Where the loss comes from', 'narrow', () => {
    const { lead, node } = contributors(data)
    return { lead, node, commands: [data.plan.command] }
  })
  if (data.evaluations?.length) add('What was measured', 'full', () => ({ lead: 'KL divergence in nats per token, original against quantized, with its standard error.', node: evaluations(data), commands: data.evaluations.map((entry) => entry.command) }))
  if (data.sweep) {
    const lead = `Blocks go from ${data.sweep.high} to ${data.sweep.low} in one order after another; the lower a curve stays, the better its order tells which blocks matter.`
    add('Lowering blocks one after another', 'wide', () => ({ lead, node: sweepChart(data.sweep), commands: [data.sweep.command] }))
    add('Which order is best', 'narrow', () => ({ lead: 'Mean KL over the whole curve, and the share of the blocks lowered when a tenth and half of the loss is reached.', node: orders(data.sweep) }))
    if (data.sweep.claims?.length) add('What the literature says, on this model', 'wide', () => ({ node: claims(data.sweep), commands: [data.sweep.command && `${data.sweep.command} --claims`] }))
    if (data.sweep.plans?.length) add('Three tiers against FP8', 'narrow', () => ({ node: tiers(data.sweep), commands: [data.sweep.command] }))
  }
  if (data.judge) add('How good each signal is', data.texts ? 'narrow' : 'full', () => ({ lead: `Held against the measured KL divergence of each group at ${data.judge.codec}: 1 is the same ranking, 0 none.`, node: judge(data), commands: [data.judge.command] }))
  if (data.texts) add('The same prompt, both models', data.judge ? 'wide' : 'full', () => ({ lead: 'Most likely continuation; marked from the first word that differs.', node: texts(data), commands: [data.texts.command] }))
  if (data.missing?.length) add('Not in this report', 'full', () => ({ lead: 'Each of these can be added.', node: el('div', { class: 'missing' }, missing(data.missing)) }))
  return list
}

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
