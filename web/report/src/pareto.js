// What other sizes would cost: the curve of the best plans, the uniform codecs, and this plan, estimated and measured.
import { axis, chart, decade, tooltip } from './chart.js'
import { ink } from './colour.js'
import { details, table } from './dom.js'
import { figure, interval, isNumber } from './format.js'

const measures = (signal) => signal === 'kl' || String(signal).startsWith('alpha')

export function pareto(data) {
  const { curve, uniform, cost_signal: signal } = data.pareto
  // A plan whose costs are in another unit than the curve's cannot be drawn beside it.
  const plan = data.plan?.block_cost > 0 && data.plan.cost_signal === signal ? { ...data.plan, cost: data.plan.block_cost } : null
  const kl = (data.evaluations ?? []).map((entry) => entry.kl_divergence).find((entry) => isNumber(entry?.mean))
  const measured = data.plan && kl && measures(signal) ? kl : null
  const codecs = uniform.filter((point) => point.cost > 0)
  // Beyond the last codec there is only more and more of the original.
  const end = Math.max(...[...codecs, data.plan ?? curve.at(-1)].map((point) => point.bits)) + 0.5
  const drawn = curve.filter((point) => point.cost > 0 && point.bits <= end)
  const unit = measures(signal) ? 'estimated KL, nats a token' : `estimated loss (${signal})`
  const texts = {
    curve: (p) => `best at ${figure(p.bits)} bits: estimated ${figure(p.cost)}`,
    uniform: (p) => `${p.codec} everywhere: ${figure(p.bits)} bits, estimated ${figure(p.cost)}`,
    plan: () => `this plan: ${figure(plan.bits)} bits, estimated ${figure(plan.cost)}`,
    measured: () => `measured: ${figure(data.plan.bits)} bits, KL ${figure(measured.mean)} (${interval(measured).map((v) => figure(v)).join(' to ')})`,
  }
  const series = () => {
    const accent = ink('accent')
    const list = [
      { kind: 'curve', points: drawn, option: {
        // Symbols that only show when they are pointed at: a point without one can have no tooltip.
        type: 'line', showAllSymbol: true, symbol: 'circle', symbolSize: 9, lineStyle: { width: 2.5, color: accent },
        itemStyle: { color: accent, opacity: 0 }, emphasis: { itemStyle: { opacity: 1 } } } },
      { kind: 'uniform', points: codecs, option: {
        type: 'scatter', symbol: 'rect', symbolSize: 8, itemStyle: { color: ink('grey') },
        label: { show: true, color: ink('muted'), fontSize: 11, formatter: ({ dataIndex }) => codecs[dataIndex].codec },
        labelLayout: { moveOverlap: 'shiftY', hideOverlap: true } } },
    ]
    if (plan) list.push({ kind: 'plan', points: [plan], option: {
      type: 'scatter', symbol: 'circle', symbolSize: 15, z: 5, itemStyle: { color: ink('surface'), borderColor: ink('hot'), borderWidth: 4, opacity: 1 } } })
    if (measured) list.push({ kind: 'measured', points: [{ bits: data.plan.bits, cost: measured.mean }], option: {
      type: 'scatter', symbol: 'diamond', symbolSize: 15, z: 6, itemStyle: { color: ink('hot'), opacity: 1 } } })
    return list
  }
  const option = (width) => {
    const list = series()
    const xs = [...drawn, ...codecs].map((point) => point.bits)
    const middle = (Math.min(...xs) + Math.max(...xs)) / 2
    return {
      grid: { left: 64, right: width < 520 ? 16 : 28, top: 16, bottom: 52 },
      xAxis: axis('bits a weight, everything counted', { type: 'value', min: Math.floor(Math.min(...xs)), max: Math.ceil(Math.max(...xs)) }),
      yAxis: axis(unit, { type: 'log', nameGap: 48, axisLabel: { color: ink('muted'), fontSize: 12, formatter: decade } }),
      tooltip: tooltip(({ seriesIndex, dataIndex }) => texts[list[seriesIndex].kind](list[seriesIndex].points[dataIndex])),
      series: [
        ...list.map(({ kind, points, option: more }) => ({ ...more, data: points.map((point) => ({ value: [point.bits, point.cost],
          ...(kind === 'uniform' ? { label: { position: point.bits > middle ? 'left' : 'right' } } : {}) })) })),
        ...(measured ? [{ type: 'line', silent: true, symbol: 'none', z: 6, lineStyle: { color: ink('hot'), width: 2 },
          data: interval(measured).filter((v) => v > 0).map((v) => [data.plan.bits, v]) }] : []),
      ],
    }
  }
  const walk = () => series().map(({ kind, points }, index) => points.map((point, i) => ({ series: index, index: i, text: texts[kind](point) })))
  const { node } = chart({ label: `Estimated loss against bits: ${drawn.length} best plans, ${codecs.length} uniform codecs${plan ? `, and ${texts.plan()}` : ''}.`, height: 400, option, walk })
  const rows = [
    ...(plan ? [['this plan', figure(plan.bits), figure(plan.cost)]] : []),
    ...codecs.map((point) => [point.codec, figure(point.bits), figure(point.cost)]),
    ...drawn.filter((_, i) => i % Math.ceil(drawn.length / 24) === 0).map((point) => ['best', figure(point.bits), figure(point.cost)]),
  ]
  return { node: [node, details('Values as a table', table('Estimated loss by bits', ['plan', 'bits', 'estimated loss'], rows, [1, 2]))], plan, measured }
}
