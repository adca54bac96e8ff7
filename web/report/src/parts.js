// The parts that are words and tables: the bottom line, the largest contributors, the judge, both models' texts.
import { bar, command, details, el, table } from './dom.js'
import { bytes, figure, groupTitle, interval, isNumber, percent } from './format.js'

const strong = (text) => el('b', {}, text)

/** The evaluation whose figures the bottom line has: the last one with a divergence. */
export const judged = (data) => [...(data.evaluations ?? [])].reverse().find((entry) => isNumber(entry.kl_divergence?.mean))

export function bottomLine(data) {
  const { plan, output, model } = data
  const evaluation = judged(data)
  const name = model?.name ?? 'This model'
  if (!plan) {
    const sweep = data.sweep
    return sweep ? [name, ': lowering all blocks from ', strong(sweep.high), ' to ', strong(sweep.low), ' takes perplexity from ',
      strong(figure(sweep.perplexity, 4)), ' to ', strong(figure(sweep.curves[0].points.at(-1).perplexity, 4)), '.'] : [name]
  }
  const parts = [name, ' in ', strong(bytes(output?.bytes ?? plan.bytes)), ', ', strong(`${figure(plan.bits)} bits`), ' a weight']
  if (!evaluation) return [...parts, '. What that costs was not measured.']
  const [low, high] = interval(evaluation.kl_divergence)
  const used = evaluation.used_by_calibration === true
  return [...parts, ': ', strong(figure(evaluation.kl_divergence.mean)), ` nats of KL divergence from the original (${figure(low)} to ${figure(high)}), the same most likely token `,
    strong(percent(evaluation.top1_agreement)), ' of the time, perplexity ', strong(figure(evaluation.perplexity, 4)), ` where the original has ${figure(evaluation.ref_perplexity, 4)}.`,
    el('small', { class: used ? 'warning' : null }, `Measured on ${evaluation.text}.${used ? ' On other text it may be worse.' : ''}`)]
}

const tile = (label, value, note) => el('div', { class: 'tile' }, el('dt', {}, label), el('dd', {}, value), note ? el('dd', { class: 'note' }, note) : '')

export function tiles(data) {
  const { plan, output, model } = data
  const evaluation = judged(data)
  const list = []
  if (output) list.push(tile('size', bytes(output.bytes), model ? `${percent(output.bytes / model.tensor_bytes, 0)} of ${bytes(model.tensor_bytes)}` : ''))
  if (plan) list.push(tile('bits a weight', figure(plan.bits, 4), isNumber(plan.nominal_bits) ? `${figure(plan.nominal_bits)} without scales` : 'scales counted'))
  if (evaluation) {
    const kl = evaluation.kl_divergence
    list.push(tile('KL divergence', figure(kl.mean), `${interval(kl).map((value) => figure(value)).join(' to ')} (95 %)`))
    const runs = evaluation.as_it_runs
    if (isNumber(runs?.kl_divergence?.mean)) list.push(tile('KL as it runs', figure(runs.kl_divergence.mean), roundings(runs)))
    list.push(tile('perplexity', figure(evaluation.perplexity, 4), `original ${figure(evaluation.ref_perplexity, 4)}`))
    list.push(tile('top-1 agreement', percent(evaluation.top1_agreement), `over ${evaluation.tokens} tokens`))
  }
  return list.length ? el('dl', { class: 'tiles' }, list) : ''
}

/** "activations: fp8 by token", how a runtime rounds what linears read. */
const roundings = (runs) => `activations: ${Object.keys(runs.linears ?? {}).join(', ')}`

export function evaluations(data) {
  const rows = (entry, text, ref) => {
    const kl = entry.kl_divergence ?? {}
    return [el('span', { class: 'wrap' }, text), `${figure(kl.mean)} ± ${figure(kl.stderr, 2)}`, figure(kl.median), figure(kl.p99), figure(kl.max),
      percent(entry.top1_agreement), figure(entry.perplexity, 4), figure(ref, 4)]
  }
  return table('Measurements', ['text', 'KL', 'median', '99\u00a0%', 'largest', 'top-1', 'perplexity', 'original'],
    judgedByText(data).flatMap((entry) => [rows(entry, String(entry.text), entry.ref_perplexity),
      ...(entry.as_it_runs ? [rows(entry.as_it_runs, `as it runs (${roundings(entry.as_it_runs)})`, entry.ref_perplexity)] : [])]), [1, 2, 3, 4, 5, 6, 7])
}

export const judgedByText = (data) => (data.evaluations ?? []).filter((entry) => isNumber(entry.perplexity))
export const judgedByTasks = (data) => (data.evaluations ?? []).filter((entry) => Array.isArray(entry.tasks))

export function tasks(data) {
  const both = (value, digits) => `${figure(value?.mean, digits)} ± ${figure(value?.stderr, 2)}`
  return table('Tasks', ['task', 'metric', 'items', 'original', 'quantized', 'difference'], judgedByTasks(data).flatMap((entry) =>
    entry.tasks.map((row) => [String(row.task), row.filter === 'none' ? row.metric : `${row.metric}, ${row.filter}`, row.items,
      row.ref ? both(row.ref) : '–', both(row.value), row.change ? both(row.change) : '–'])), [2, 3, 4, 5])
}

export function contributors(data) {
  const { plan, grid } = data
  const all = plan.groups.reduce((sum, group) => sum + (isNumber(group.cost) ? group.cost : 0), 0)
  const weights = plan.groups.reduce((sum, group) => sum + group.weights, 0)
  const order = plan.groups.map((group, index) => ({ ...group, index })).filter((group) => group.cost > 0).sort((a, b) => b.cost - a.cost)
  const top = order.slice(0, 12)
  const share = top.reduce((sum, group) => sum + group.cost, 0) / all
  const held = top.reduce((sum, group) => sum + group.weights, 0) / weights
  return {
    lead: top.length < order.length
      ? `These ${top.length} of ${plan.groups.length} groups carry ${percent(share, 0)} of the estimated loss with ${percent(held, 0)} of the weights: the place to spend more.`
      : 'The share of each group in the estimated loss: the first are the place to spend more.',
    node: table('Largest contributors', ['group', 'codec', 'bits', 'share of the loss'],
      top.map((group) => [groupTitle(grid, group.index), group.codec, figure(group.bits), bar(group.cost / top[0].cost, percent(group.cost / all))]), [2]),
  }
}

export function judge({ judge: { signals } }) {
  const timed = signals.some((row) => isNumber(row.seconds))
  const level = (of) => {
    const rows = signals.filter((row) => row.of === of)
    if (!rows.length) return []
    const header = [`signal of a ${of}`, 'rank correlation', 'top quarter found', ...(timed ? ['seconds'] : [])]
    return table(`Signals of a ${of} against kl`, header, rows.map((row) => [row.signal, bar(row.spearman, figure(row.spearman)),
      percent(row.top_quarter, 0), ...(timed ? [isNumber(row.seconds) ? figure(row.seconds) : '–'] : [])]), [2, 3])
  }
  return [level('group'), level('block')]
}

/** Both texts; what comes after their first difference is marked. */
function pair(sample) {
  const words = (text) => String(text).split(/(?<=\s)/)
  const [original, quantized] = [words(sample.original), words(sample.quantized)]
  let same = 0
  while (same < original.length && same < quantized.length && original[same] === quantized[same]) same += 1
  const side = (title, list) => el('div', { class: 'text' }, el('h4', {}, title), el('p', {}, list.slice(0, same).join(''),
    same < list.length ? el('mark', {}, list.slice(same).join('')) : ''))
  return el('article', { class: 'pair' }, el('p', { class: 'prompt' }, String(sample.prompt)),
    side('original', original), side(same === original.length && same === quantized.length ? 'quantized: word for word the same' : 'quantized', quantized))
}
export const texts = ({ texts: { samples } }) => samples.map(pair)

export const missing = (list) => list.map((entry) => details(entry.title, entry.why ? el('p', { class: 'why' }, entry.why) : null, entry.commands.map(command)))
