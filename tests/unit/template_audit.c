/* What a chat template may not do, and what those of real models do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vocab/template_audit.h"

static smelt_audit audit;

static size_t findings(const char *text)
{
    audit_free(&audit);
    audit = (smelt_audit){.file = "t"};
    smelt_err err = {0};
    assert_int_equal(template_audit(&audit, "chat_template", 100, (smelt_str){text, strlen(text)}, &err), SMELT_OK);
    return audit.n;
}

static void reaching_into_python_is_found(void **state)
{
    (void)state;
    /* Published attacks on templates (server-side template injection in Jinja), and variations that hide the names. */
    static const char *const hostile[] = {
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ lipsum.__globals__['os'].system('id') }}",
        "{{ self._TemplateReference__context.cycler }}",
        "{%- if messages.__class__ -%}{%- endif -%}",
        "{{ x['__class__'] }}",
        "{{ x|attr('__class__') }}",
        "{{ x | attr( \"_private\" ) }}",
        "{{ x|attr(name) }}",
        "{{ x|attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
        "{{ x['\\x5f\\x5fclass\\x5f\\x5f'] }}",
        "{{ x['\\u005f\\u005finit\\u005f\\u005f'] }}",
        "{{ x['\\137\\137init\\137\\137'] }}",
        "{{ x['__cla' ~ 'ss__'] }}",
        "{{ x['__gl' + 'obals__'] }}",
        "{{ x['__cl' 'ass__'] }}",
        "{{ x[['__cla', 'ss__']|join] }}",
        "{{ x['__ssalc__'|reverse] }}",
        "{{ x['_'*2 ~ name ~ '_'*2] }}",
        "{{ messages|map(attribute='__class__')|list }}",
        "{% set g = f.func_globals %}",
        "{% set g = f.gi_frame.f_globals %}",
        "{{ os.environ }}",
        "{{ x.popen('id') }}",
        "{{ getattr(x, 'y') }}",
        "{% for k in {'a': {'b': c.__dict__}} %}{% endfor %}",
        "{{ '}}' ~ x.__class__ }}",
    };
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        if (!findings(hostile[i])) fail_msg("nothing found in %s", hostile[i]);
        assert_string_equal(finding_kind(audit.list[0].id)->name, "template-escape");
    }
}

static void other_files_are_found(void **state)
{
    (void)state;
    static const char *const hostile[] = {"{% include '/etc/passwd' %}", "{%- import 'a' as b %}", "{% from 'a' import b %}",
                                          "{%+ extends 'a' %}"};
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        assert_int_equal(findings(hostile[i]), 1);
        assert_string_equal(finding_kind(audit.list[0].id)->name, "template-include");
    }
}

static void what_templates_do_is_not_found(void **state)
{
    (void)state;
    static const char *const usual[] = {
        "",
        "{",
        "plain text about __class__ and {% raw %}{{ x.__class__ }}{% endraw %}",
        "{# {{ x.__class__ }} #}",
        "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] | trim }}{% endfor %}",
        "{%- set ns = namespace(is_first=false, is_tool=false) -%}{%- set ns.is_first = true -%}",
        "{{ raise_exception('Conversation roles must alternate') }}",
        "{{ strftime_now('%d %B %Y') }}",
        "{%- macro render(spec, required) -%}{{ spec.type }}{%- endmacro -%}{{ render(x, y) }}",
        "{{ tool.function | tojson(indent=4) }}",
        "{{ message.content.split('</think>')[-1].lstrip('\\n') }}",
        "{{ name.replace('_', ' ') }}",
        "{{ '}}' }}",
        "{{ {'a': {'b': 1}} }}",
        "{{ messages | selectattr('role', 'equalto', 'user') | list | last }}",
        "{{ '<|python_tag|>' ~ x ~ '__start__' }}",
        "{% generation %}{{ m.content }}{% endgeneration %}",
        "{% if not loop.last %}{% else %}{% endif %}",
    };
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (findings(usual[i])) fail_msg("%s: %s", usual[i], audit.list[0].text);
}

static void what_does_not_end_is_found(void **state)
{
    (void)state;
    static const char *const broken[] = {"{{ x", "{% if", "{{ 'x }}", "{# x", "{% raw %} {{", "{{ (x }}"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        if (findings(broken[i]) != 1) fail_msg("%zu findings in %s", audit.n, broken[i]);
        assert_string_equal(finding_kind(audit.list[0].id)->name, "template-broken");
    }
}

static void the_place_is_told(void **state)
{
    (void)state;
    findings("line 1\nline 2 {{ x.__class__ }}");
    assert_int_equal(audit.n, 1);
    assert_int_equal(audit.list[0].offset, 100 + 19);
    assert_string_equal(audit.list[0].text, "chat_template, line 2: reaches for '__class__'");
    audit_free(&audit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reaching_into_python_is_found),
        cmocka_unit_test(other_files_are_found),
        cmocka_unit_test(what_templates_do_is_not_found),
        cmocka_unit_test(what_does_not_end_is_found),
        cmocka_unit_test(the_place_is_told),
    };
    return cmocka_run_group_tests_name("template_audit", tests, NULL, NULL);
}
