import { describe, expect, it } from '@jest/globals';
import { acceptedForm, formOfMediaType } from './media.core.js';

describe('the form of bodies and answers', () => {
  it('follows from the media type', () => {
    expect(formOfMediaType('application/json')).toBe('json');
    for (const type of ['application/x-ndjson', 'application/ndjson', 'application/jsonl']) {
      expect(formOfMediaType(type)).toBe('lines');
    }
    for (const type of ['', 'text/csv', 'application/json5', 'constructor']) {
      expect(formOfMediaType(type)).toBeUndefined();
    }
  });

  it.each([
    [undefined, 'lines', 'lines'],
    ['*/*', 'json', 'json'],
    ['application/json', 'lines', 'json'],
    ['application/x-ndjson', 'json', 'lines'],
    ['application/json;q=0.5, application/jsonl', 'json', 'lines'],
    ['application/json, application/jsonl', 'lines', 'json'],
    ['*/*;q=0.1, application/json;q=0.2', 'lines', 'json'],
    ['application/x-ndjson;q=0', 'json', 'json'],
    ['text/html', 'lines', 'lines'],
    ['application/json;q=nonsense', 'lines', 'lines'],
  ] as const)('of the answer: %s to a request in %s gives %s', (accept, ofRequest, form) => {
    expect(acceptedForm(accept, ofRequest)).toBe(form);
  });
});
