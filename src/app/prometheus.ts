import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { DataPointType, type MetricData, MetricReader, type ResourceMetrics } from '@opentelemetry/sdk-metrics';

export const PROMETHEUS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Collects when it is asked, values since the start (the SDK's default, and what Prometheus wants), and keeps nothing. */
export class ScrapeReader extends MetricReader {
  /** The metrics of this instance in Prometheus text format 0.0.4. */
  async scrape(): Promise<string> {
    const { resourceMetrics } = await this.collect();
    const serializer = new PrometheusSerializer(undefined, false, undefined, false, true);
    // The exporter comes with a copy of the SDK's types of its own; the enums are the same numbers.
    // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment
    return `${serializer.serialize(oneScope(resourceMetrics)).trimEnd()}\n`;
  }

  protected override onForceFlush(): Promise<void> {
    return Promise.resolve();
  }

  protected override onShutdown(): Promise<void> {
    return Promise.resolve();
  }
}

/** What the conventions of Prometheus put at the end of a name for a unit of OpenTelemetry. */
const UNIT_SUFFIXES: ReadonlyMap<string, string> = new Map([
  ['s', 'seconds'],
  ['ms', 'milliseconds'],
  ['us', 'microseconds'],
  ['By', 'bytes'],
]);

/**
 * Two components may have a metric of the same name. The serializer would write its HELP and TYPE once for each, which
 * parsers of the format refuse ("second TYPE line"), and one scrape would be lost over it. So equal names are joined to one
 * metric, and the component becomes the label `component_name`. Of two that differ in type the first stands.
 */
function oneScope(metrics: ResourceMetrics): ResourceMetrics {
  const joined = new Map<string, MetricData>();
  for (const { scope, metrics: scoped } of metrics.scopeMetrics) {
    for (const metric of scoped) {
      const named = labelled(metric, scope.name);
      const name = prometheusName(named);
      const first = joined.get(name);
      if (first === undefined) joined.set(name, named);
      else joined.set(name, together(first, named));
    }
  }
  return { ...metrics, scopeMetrics: [{ scope: { name: 'probity' }, metrics: [...joined.values()] }] };
}

/** The name under which the serializer will write it: two names of ours may become one. */
function prometheusName(metric: MetricData): string {
  const name = metric.descriptor.name.replace(/[^a-z0-9_]/gi, '_').replace(/_{2,}/g, '_');
  const counts = metric.dataPointType === DataPointType.SUM && metric.isMonotonic;
  return counts && !name.endsWith('_total') ? `${name}_total` : name;
}

function labelled(metric: MetricData, component: string): MetricData {
  const { name, unit } = metric.descriptor;
  const suffix = UNIT_SUFFIXES.get(unit);
  const fullName = suffix === undefined || name.endsWith(`.${suffix}`) ? name : `${name}.${suffix}`;
  const descriptor = { ...metric.descriptor, name: fullName, unit: '' };
  const withComponent = <Point extends { attributes: object }>(points: readonly Point[]): Point[] =>
    points.map((point) => ({ ...point, attributes: { component_name: component, ...point.attributes } }));

  switch (metric.dataPointType) {
    case DataPointType.SUM:
      return { ...metric, descriptor, dataPoints: withComponent(metric.dataPoints) };
    case DataPointType.GAUGE:
      return { ...metric, descriptor, dataPoints: withComponent(metric.dataPoints) };
    case DataPointType.HISTOGRAM:
      return { ...metric, descriptor, dataPoints: withComponent(metric.dataPoints) };
    case DataPointType.EXPONENTIAL_HISTOGRAM:
      return { ...metric, descriptor, dataPoints: withComponent(metric.dataPoints) };
  }
}

function together(first: MetricData, second: MetricData): MetricData {
  if (first.dataPointType === DataPointType.SUM && second.dataPointType === DataPointType.SUM) {
    if (first.isMonotonic !== second.isMonotonic) return first;
    return { ...first, dataPoints: [...first.dataPoints, ...second.dataPoints] };
  }
  if (first.dataPointType === DataPointType.GAUGE && second.dataPointType === DataPointType.GAUGE) {
    return { ...first, dataPoints: [...first.dataPoints, ...second.dataPoints] };
  }
  if (first.dataPointType === DataPointType.HISTOGRAM && second.dataPointType === DataPointType.HISTOGRAM) {
    return { ...first, dataPoints: [...first.dataPoints, ...second.dataPoints] };
  }
  return first;
}
