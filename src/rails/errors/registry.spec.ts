import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { fromProblem, isProbityError, ProbityError, toProblem } from './probity-error.js';
import { ERROR_FAMILIES, ERRORS, errorSpec, isErrorCode, type ErrorCode } from './registry.js';

const codes = Object.keys(ERRORS).filter(isErrorCode);

describe('the error registry', () => {
  it('has every code in one family, and only there', () => {
    // A code that stands in two families would silently get the remedy of the last one.
    const inFamilies = ERROR_FAMILIES.flatMap(({ errors }) => Object.keys(errors));
    expect(inFamilies.toSorted()).toEqual(codes.toSorted());
  });

  it.each(codes)('%s has a name, a status and two sentences', (code) => {
    const { status, title, remedy, retryable } = errorSpec(code);
    expect(code).toMatch(/^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(600);
    expect(title).toMatch(/^[A-Z].*\.$/);
    expect(remedy).toMatch(/^[A-Z].*\.$/);
    // A caller that retries what is wrong with its request would do so for ever.
    if (retryable) expect([408, 409, 423, 425, 429, 502, 503, 504, 507]).toContain(status);
  });

  it('does not take names of Object for codes', () => {
    expect(isErrorCode('constructor')).toBe(false);
    expect(isErrorCode('BUS_UNAVAILABLE')).toBe(true);
  });
});

describe('an error on its way over HTTP', () => {
  const data = fc.dictionary(
    fc.string({ minLength: 1 }).filter((key) => key !== '__proto__'),
    fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null)),
  );

  it('comes back as it was', () => {
    fc.assert(
      fc.property(fc.constantFrom(...codes), fc.string(), data, (code, detail, values) => {
        const wire: unknown = JSON.parse(
          JSON.stringify(toProblem(new ProbityError(code, detail, { data: values }), 't1')),
        );
        const back = fromProblem(wire as object);
        expect({ code: back.code, detail: back.detail, data: back.data }).toEqual({ code, detail, data: values });
        expect(back.status).toBe(errorSpec(code).status);
      }),
    );
  });

  it('never carries its cause', () => {
    const error = new ProbityError('INTERNAL', 'it broke', { cause: new Error('password=hunter2') });
    expect(JSON.stringify(toProblem(error))).not.toContain('hunter2');
    expect(error.cause).toBeInstanceOf(Error);
  });

  it('becomes INTERNAL when the code is unknown here', () => {
    expect(fromProblem({ code: 'NEWER_CODE' as ErrorCode, detail: 'x' }).code).toBe('INTERNAL');
    expect(fromProblem({}).code).toBe('INTERNAL');
  });

  it('can be told by its code', () => {
    const error = new ProbityError('VALUE_INVALID', 'x');
    expect(isProbityError(error)).toBe(true);
    expect(isProbityError(error, 'VALUE_INVALID')).toBe(true);
    expect(isProbityError(error, 'INTERNAL')).toBe(false);
    expect(isProbityError(new Error('x'))).toBe(false);
  });
});
