// Lowering blocks one after another: a curve for every order, the spread of the random ones, plans beside them, claims.
import { axis, chart, decade, tooltip } from './chart.js'
import { ink } from './colour.js'
import { bar, details, el, freshId, table, tabs } from './dom.js'
import { figure, isNumber, percent } from './format.js'

/** By order: hue, line, width, symbol. A signal has one hue, and its reversed order the same with dashes. */
const styles = {
  best: ['ink', 'solid', 3], lim: ['s1', 'solid', 2], 'lim reversed': ['s1', 'dashed', 1.5], zd: ['s2', 'solid', 2],
  'zd reversed': ['s2', 'dashed', 1.5], kl: ['s3', 'solid', 2], first: ['s4', 'solid', 1.5], last: ['s4', 'dashed', 1.5],
  'first and last': ['s4', 'dotted', 2], pruned: ['s5', 'dashed', 2, 'diamond'],
}
const style = (order) => styles[order] ?? ['grey', 'solid', 2]

/** Random orders as one: mean, least and greatest of every point. */
function gather(sweep, key) {
  const random = sweep.curves.filter((curve) => curve.order.startsWith('random'))
  const single = sweep.curves.filter((curve) => !curve.order.startsWith('random'))
    .map((curve) => ({ name: curve.order, points: curve.points.map((point) => [point.lowered, point[key]]) }))
  const band = (random[0]?.points ?? []).map((point, i) => {
    const values = random.map((curve) => curve.points[i]?.[key]).filter(isNumber)
    return [point.lowered, Math.min(...values), Math.max(...values), values.reduce((a, b) => a + b, 0) / values.length]
  })
  if (band.length) single.push({ name: `random (${random.length})`, points: band.map((row) => [row[0], row[3]]) })
  return { curves: single, band }
}

/** The band as one polygon, on any scale. */
const polygon = (band) => ({
  type: 'custom', silent: true, z: 0, data: [[band[0][0], band[0][1]]], tooltip: { show: false },
  renderItem: (_, api) => ({
    type: 'polygon',
    shape: { points: [...band.map((row) => api.coord([row[0], row[1]])), ...band.map((row) => api.coord([row[0], row[2]])).reverse()] },
    style: { fill: ink('grey'), opacity: 0.22 },
  }),
})

export function sweepChart(sweep) {
  const state = { key: 'kl', hidden: new Set(sweep.curves.map((curve) => curve.order).filter((name) => name.endsWith('reversed'))), log: true }
  const titles = { kl: 'KL divergence, nats a token', perplexity: 'perplexity' }
  const shown = () => gather(sweep, state.key).curves.filter((curve) => !state.hidden.has(curve.name))
    .map((curve) => ({ ...curve, points: curve.points.filter((point) => isNumber(point[1]) && (!state.log || point[1] > 0)) }))
  const text = (name, point) => `${name}: ${point[0]} of ${sweep.blocks} blocks lowered, ${state.key === 'kl' ? 'KL' : 'perplexity'} ${figure(point[1])}`
  const option = () => {
    const curves = shown()
    const { band, curves: all } = gather(sweep, state.key)
    const drawBand = band.length > 0 && all.some((curve) => curve.name.startsWith('random') && !state.hidden.has(curve.name)) && (!state.log || band.every((row) => row[1] > 0))
    return {
      grid: { left: 64, right: 18, top: 14, bottom: 52 },
      xAxis: axis('blocks lowered, the least important first', { type: 'value', min: 0, max: sweep.blocks }),
      yAxis: axis(titles[state.key], { type: state.log ? 'log' : 'value', nameGap: 48, axisLabel: { color: ink('muted'), fontSize: 12, formatter: state.log ? decade : undefined } }),
      tooltip: tooltip(({ seriesIndex, dataIndex }) => text(curves[seriesIndex].name, curves[seriesIndex].points[dataIndex])),
      series: [
        ...curves.map((curve) => {
          const [hue, type, width, symbol = 'circle'] = style(curve.name)
          return { type: 'line', data: curve.points, symbol, symbolSize: symbol === 'circle' ? 6 : 10, showSymbol: true, z: curve.name === 'best' ? 4 : 3,
            lineStyle: { color: ink(hue), type, width }, itemStyle: { color: ink(hue) }, emphasis: { focus: 'series' } }
        }),
        ...(drawBand ? [polygon(band)] : []),
      ],
    }
  }
  const walk = () => shown().map((curve, series) => curve.points.map((point, index) => ({ series, index, text: text(curve.name, point) })))
  const figureOf = chart({ label: `KL divergence and perplexity against the number of blocks lowered from ${sweep.high} to ${sweep.low}, in ${sweep.curves.length} orders.`, height: 420, option, walk })
  const legend = el('div', { class: 'toggles', role: 'group', 'aria-label': 'Orders shown' }, gather(sweep, 'kl').curves.map(({ name }) => {
    const [hue, type] = style(name)
    const button = el('button', { type: 'button', 'aria-pressed': String(!state.hidden.has(name)), onclick: () => {
      if (!state.hidden.delete(name)) state.hidden.add(name)
      button.setAttribute('aria-pressed', String(!state.hidden.has(name)))
      figureOf.draw()
    } }, el('i', { style: `border-top:3px ${type} var(--${hue})`, 'aria-hidden': 'true' }), name)
    return button
  }))
  const scale = el('button', { type: 'button', class: 'quiet', 'aria-pressed': 'true', onclick: () => {
    state.log = !state.log
    scale.setAttribute('aria-pressed', String(state.log))
    figureOf.draw()
  } }, 'logarithmic')
  const panel = el('div', { id: freshId('panel'), class: 'figure' }, figureOf.node)
  const show = (key) => ({ name: key === 'kl' ? 'KL divergence' : 'perplexity', show: () => {
    state.key = key
    figureOf.draw()
  } })
  return [el('div', { class: 'row' }, tabs('What the curves show', [show('kl'), show('perplexity')], panel), scale), panel, legend]
}

/** Curves as rows of a table, the random ones as one. */
function compared(sweep) {
  const mean = (curves, key) => curves.reduce((sum, curve) => sum + curve[key], 0) / curves.length
  const row = (name, curves) => ({ name, kl: mean(curves, 'mean_kl'), tenth: mean(curves, 'share_at_10_percent'), half: mean(curves, 'share_at_50_percent') })
  const random = sweep.curves.filter((curve) => curve.order.startsWith('random'))
  const others = sweep.curves.filter((curve) => !curve.order.startsWith('random') && curve.order !== 'pruned')
  return [...others.map((curve) => row(curve.order, [curve])), ...(random.length ? [row(`random (${random.length})`, random)] : [])]
    .filter((entry) => isNumber(entry.kl)).sort((a, b) => a.kl - b.kl)
}

export function orders(sweep) {
  const rows = compared(sweep)
  const greatest = Math.max(...rows.map((row) => row.kl))
  const { curves } = gather(sweep, 'kl')
  return [
    table('Orders by mean KL', ['order', 'mean KL', 'tenth at', 'half at'],
      rows.map((row) => [row.name, bar(row.kl / greatest, figure(row.kl)), percent(row.tenth, 0), percent(row.half, 0)]), [2, 3]),
    details('Curves as a table', table('KL by blocks lowered', ['order', ...curves[0].points.map((point) => String(point[0]))],
      curves.map((curve) => [curve.name, ...curve.points.map((point) => figure(point[1]))]), curves[0].points.map((_, i) => i + 1), 'scroll')),
  ]
}

export const claims = (sweep) => el('ul', { class: 'claims' }, sweep.claims.map((claim) => el('li', {},
  el('span', { class: claim.holds ? 'verdict yes' : 'verdict no' }, claim.holds ? 'holds' : 'does not hold'),
  el('span', {}, claim.claim, el('small', {}, claim.figures)))))

export const tiers = (sweep) => [table('Plans measured', ['plan', 'bits', 'KL', 'perplexity', 'GB read a token'],
  sweep.plans.map((plan) => [plan.name, figure(plan.bits), `${figure(plan.kl)} ± ${figure(plan.kl_stderr, 2)}`, figure(plan.perplexity, 4),
    figure(plan.gigabytes_per_token)]), [1, 2, 3, 4]), (sweep.notes ?? []).map((note) => el('p', { class: 'lead' }, note))]
