import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson } from '../../../rails/canonical-json.js';
import type { UtcMicros } from '../../../rails/time.js';
import { MemberNames, rejectLine, trafficLine, truthLine } from './lines.core.js';

const TIME = '2018-04-01T00:00:31.000000Z' as UtcMicros;

/** Texts with quotes, backslashes, control characters and characters beyond ASCII, but no half surrogates: those have no canonical form. */
const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.constantFrom('"', '\\', '\n', 'ü', '😀', ''));
const value = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.oneof(text, fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean()),
  },
  { weight: 1, arbitrary: fc.constant(null) },
  { weight: 1, arbitrary: fc.array(text) },
  { weight: 1, arbitrary: fc.dictionary(text, fc.integer()) },
);
const object = fc.dictionary(text, value).map((members) => ({ ...members }));

describe('the line of a row', () => {
  it('is the canonical JSON of a row of traffic, with its number', () => {
    fc.assert(
      fc.property(text, object, fc.nat(), (key, payload, row) => {
        const { head, tail } = trafficLine({ key, ts_utc: TIME, payload }, 'transactions', new MemberNames());
        const source = { output_id: 'transactions', row };
        expect(head + String(row) + tail).toBe(canonicalJson({ key, ts_utc: TIME, payload: { ...payload, source } }));
      }),
    );
  });

  it('is the canonical JSON of a row of a truth product, whose key and time no field can replace', () => {
    fc.assert(
      fc.property(text, object, fc.constantFrom({}, { key: 'x' }, { ts_utc: 1 }), (key, some, more) => {
        const fields = { ...some, ...more };
        const line = truthLine({ key, ts_utc: TIME, fields }, new MemberNames());
        expect(line).toBe(canonicalJson({ ...fields, key, ts_utc: TIME }));
      }),
    );
  });

  it('is the canonical JSON of a rejected row', () => {
    fc.assert(
      fc.property(text, fc.nat(), (detail, row) => {
        expect(rejectLine({ detail, reason: 'VALUE_INVALID', row })).toBe(
          canonicalJson({ detail, reason: 'VALUE_INVALID', row }),
        );
      }),
    );
  });

  it('is refused where the text has no canonical form', () => {
    const line = () => trafficLine({ key: '\ud800', ts_utc: TIME, payload: {} }, 'transactions', new MemberNames());
    expect(line).toThrow('CANONICAL_FORM_INVALID');
  });

  it('uses the names of members again, and not of so many that they fill the memory', () => {
    const names = new MemberNames();
    const all = Array.from({ length: 3_000 }, (_, index) => names.text(`n${index}`));
    expect(all[2_999]).toBe('"n2999":');
    expect(names.size).toBe(1_000);
  });
});
