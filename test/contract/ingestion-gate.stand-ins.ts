import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { type ErrorCode } from '../../src/rails/errors/registry.js';
import { type Bus, type BusProducer, type PartitionAppend } from '../../src/substrate/bus/bus.port.js';

/** Real substrates seen through a glass that a test can darken. */
export interface Switch {
  /** Set: every call through the glass ends with this code instead of being made. */
  code: ErrorCode | undefined;
}

/** The same object; each of its methods fails while the switch is set. */
export function failing<Thing extends object>(thing: Thing, off: Switch): Thing {
  return new Proxy(thing, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        if (off.code !== undefined) return Promise.reject(new ProbityError(off.code, 'switched off by the test'));
        return Reflect.apply(value as (...all: unknown[]) => unknown, target, args);
      };
    },
  });
}

/** What becomes of the next append through any producer. */
export interface AppendScript {
  /** Taken from the front; when empty appends go as they are. */
  readonly next: ('refused' | 'lost, landed' | 'lost, not landed')[];
  /** Called before an append is made … */
  beforeAppend?: () => Promise<void> | void;
  /** … and after it has landed, before its answer is given on. */
  afterAppend?: () => Promise<void> | void;
  /** Opening a producer fails while set. */
  openFails?: ErrorCode | undefined;
  appends: number;
}

/** The same bus without the ability to commit together with the ledger, as Kafka is, its appends under a script. */
export function apart(bus: Bus, script: AppendScript = { next: [], appends: 0 }): Bus {
  const lost = () => new ProbityError('BUS_APPEND_UNKNOWN', 'the answer was lost by the test');
  const wrap = (producer: BusProducer): BusProducer => ({
    name: producer.name,
    append: async (batch: readonly PartitionAppend[]) => {
      script.appends += 1;
      await script.beforeAppend?.();
      const fate = script.next.shift();
      if (fate === 'refused') throw new ProbityError('BUS_UNAVAILABLE', 'refused by the test');
      if (fate === 'lost, not landed') throw lost();
      const appended = await producer.append(batch);
      await script.afterAppend?.();
      if (fate === 'lost, landed') throw lost();
      return appended;
    },
    close: () => producer.close(),
  });
  return new Proxy(bus, {
    get(target, name) {
      if (name === 'transactional') return undefined;
      const value: unknown = Reflect.get(target, name, target);
      if (name === 'openProducer') {
        return async (options: Parameters<Bus['openProducer']>[0]) => {
          if (script.openFails !== undefined) throw new ProbityError(script.openFails, 'not opened by the test');
          return wrap(await target.openProducer(options));
        };
      }
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
