import type { TopicName } from '../../src/rails/eb-ref.js';
import type { Bus, BusProducer, BusReader, Position, TopicSpec } from '../../src/substrate/bus/bus.port.js';

/** The same bus with another topic under a topic's name: a shared broker keeps what earlier runs have left. */
export function renamed(bus: Bus, from: TopicName, to: TopicName): Bus {
  const real = (topic: TopicName): TopicName => (topic === from ? to : topic);
  return new Proxy(bus, {
    get(target, name) {
      if (name === 'partitionsOf') return (topic: TopicName) => target.partitionsOf(real(topic));
      if (name === 'marks')
        return async (topic: TopicName) => (await target.marks(real(topic))).map((mark) => ({ ...mark, topic }));
      if (name === 'ensureTopics')
        return (specs: readonly TopicSpec[]) =>
          target.ensureTopics(specs.map((spec) => ({ ...spec, topic: real(spec.topic) })));
      if (name === 'offsetsAt')
        return async (topic: TopicName, appendedAtMs: number) =>
          (await target.offsetsAt(real(topic), appendedAtMs)).map((position) => ({ ...position, topic }));
      if (name === 'trim') return (position: Position) => target.trim({ ...position, topic: real(position.topic) });
      if (name === 'openReader') {
        return async (positions: readonly Position[]): Promise<BusReader> => {
          const reader = await target.openReader(
            positions.map((position) => ({ ...position, topic: real(position.topic) })),
          );
          return {
            poll: async (options) =>
              (await reader.poll(options)).map((batch) => (batch.topic === to ? { ...batch, topic: from } : batch)),
            close: () => reader.close(),
          };
        };
      }
      if (name === 'openProducer') {
        return async (options: Parameters<Bus['openProducer']>[0]): Promise<BusProducer> => {
          const producer = await target.openProducer({ name: `${to}.${options.name}` });
          return {
            name: producer.name,
            append: (batch) => producer.append(batch.map((part) => ({ ...part, topic: real(part.topic) }))),
            close: () => producer.close(),
          };
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
