import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parsePrometheusText } from './prometheus-text.js';

describe('the Prometheus text format', () => {
  it('is read series by series, comments passed over', () => {
    const text = [
      '# HELP df_lag records',
      '# TYPE df_lag gauge',
      'df_lag{component_name="decision-fabric",partition="0"} 12',
      'up 1 1395066363000',
      'x_bucket{le="+Inf"} +Inf',
      'y NaN',
      '',
    ].join('\n');
    expect(parsePrometheusText(text)).toEqual([
      { name: 'df_lag', labels: { component_name: 'decision-fabric', partition: '0' }, value: 12 },
      { name: 'up', labels: {}, value: 1 },
      { name: 'x_bucket', labels: { le: '+Inf' }, value: Infinity },
      { name: 'y', labels: {}, value: NaN },
    ]);
  });

  it('any label value comes back as it went in', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (value) => {
        const escaped = value.replace(/[\\"\n]/g, (each) => (each === '\n' ? '\\n' : `\\${each}`));
        expect(parsePrometheusText(`a{b="${escaped}",c="}"} 1`)).toEqual([
          { name: 'a', labels: { b: value, c: '}' }, value: 1 },
        ]);
      }),
    );
  });

  it.each(['half{a="1" 2', 'name', 'a{b=1} 2', 'a{b="1"} many', '<html>', 'a 1 2 3'])('%s is refused', (line) => {
    expect(() => parsePrometheusText(`up 1\n${line}`)).toThrow('line 2 is no sample');
  });
});
