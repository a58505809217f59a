package transcript

import (
	"fmt"
	"reflect"
	"strconv"
)

// Dump is everything a value holds, down through pointers, slices and fields
// that are not exported, as text. Two values with the same Dump cannot be told
// apart by looking; an address never shows. A slice's spare room does not show
// either. It panics on maps, channels and functions, which no mind holds.
func Dump(values ...any) string {
	var out []byte
	for _, v := range values {
		out = append(dump(out, reflect.ValueOf(v)), '\n')
	}
	return string(out)
}

func dump(out []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Invalid:
		return append(out, "nil"...)
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return append(out, "nil"...)
		}
		return dump(append(append(append(out, '&'), v.Elem().Type().String()...), ' '), v.Elem())
	case reflect.Struct:
		out = append(out, '{')
		for i := range v.NumField() {
			out = dump(append(append(out, v.Type().Field(i).Name...), ':'), v.Field(i))
			out = append(out, ' ')
		}
		return append(out, '}')
	case reflect.Slice, reflect.Array:
		out = append(out, '[')
		for i := range v.Len() {
			out = append(dump(out, v.Index(i)), ' ')
		}
		return append(out, ']')
	case reflect.String:
		return strconv.AppendQuote(out, v.String())
	case reflect.Bool:
		return strconv.AppendBool(out, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(out, v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(out, v.Uint(), 10)
	}
	panic(fmt.Sprintf("dump a %s: a mind holds none", v.Type()))
}
