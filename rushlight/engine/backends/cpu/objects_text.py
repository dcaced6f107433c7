"""The generated functions of ``objects``, in LLVM's language, with holes for what they are told."""

from __future__ import annotations

from typing import Final

# Rows are of three words: the number of a value, and what belongs to it (`Frame`); those of results
# of seven: number, slot, the array chosen for this run, and two arrays with the places of their
# data, of which one that nobody but the program holds is chosen. A replay's list has ``None`` where
# nothing is read or kept.
TEXT: Final = """
define internal ptr @value(ptr %list, i64 %number) {{
  %items.at = getelementptr i8, ptr %list, i64 {items}
  %items = load ptr, ptr %items.at
  %value.at = getelementptr ptr, ptr %items, i64 %number
  %value = load ptr, ptr %value.at
  ret ptr %value
}}

define internal void @put(ptr %spot, ptr %new, ptr %api) {{
  %old = load ptr, ptr %spot
  %take = load ptr, ptr %api
  call void %take(ptr %new)
  store ptr %new, ptr %spot
  %drop.at = getelementptr ptr, ptr %api, i64 1
  %drop = load ptr, ptr %drop.at
  call void %drop(ptr %old)
  ret void
}}

define i64 @bind(ptr %list, ptr %frame) {{
start:
  %table = load ptr, ptr %frame
  %api.at = getelementptr ptr, ptr %frame, i64 1
  %api = load ptr, ptr %api.at
  %type.at = getelementptr i64, ptr %api, i64 8
  %type = load i64, ptr %type.at
  %rows.at = getelementptr ptr, ptr %frame, i64 5
  %rows = load ptr, ptr %rows.at
  %count.at = getelementptr i64, ptr %frame, i64 6
  %count = load i64, ptr %count.at
  br label %next
next:
  %i = phi i64 [ 0, %start ], [ %more, %done ]
  %end = icmp eq i64 %i, %count
  br i1 %end, label %good, label %one
one:
  %row = mul i64 %i, 3
  %number.at = getelementptr i64, ptr %rows, i64 %row
  %number = load i64, ptr %number.at
  %slot.at = getelementptr i64, ptr %number.at, i64 1
  %slot = load i64, ptr %slot.at
  %alone.at = getelementptr i64, ptr %number.at, i64 2
  %alone = load i64, ptr %alone.at
  %value = call ptr @value(ptr %list, i64 %number)
  %buffer.at = getelementptr i8, ptr %value, i64 {buffer}
  %buffer = load ptr, ptr %buffer.at
  %missing = icmp eq ptr %buffer, null
  br i1 %missing, label %bad, label %present
present:
  %type.of = getelementptr i8, ptr %buffer, i64 {word}
  %kind = load i64, ptr %type.of
  %array = icmp eq i64 %kind, %type
  br i1 %array, label %typed, label %bad
typed:
  %data.at = getelementptr i8, ptr %buffer, i64 {data}
  %data = load i64, ptr %data.at
  %out = getelementptr i64, ptr %table, i64 %slot
  store i64 %data, ptr %out
  %any = icmp eq i64 %alone, 0
  br i1 %any, label %done, label %check
check:
  %references = load i64, ptr %buffer
  %single = icmp eq i64 %references, 1
  %base.at = getelementptr i8, ptr %buffer, i64 {base}
  %base = load ptr, ptr %base.at
  %own = icmp eq ptr %base, null
  %flags.at = getelementptr i8, ptr %buffer, i64 {flags}
  %flags = load i32, ptr %flags.at
  %bit = and i32 %flags, {writeable}
  %open = icmp ne i32 %bit, 0
  %both = and i1 %single, %own
  %free = and i1 %both, %open
  br i1 %free, label %done, label %bad
done:
  %more = add i64 %i, 1
  br label %next
good:
  ret i64 0
bad:
  %failed = add i64 %i, 1
  ret i64 %failed
}}

define internal i1 @free(ptr %array) {{
start:
  %none = icmp eq ptr %array, null
  br i1 %none, label %no, label %look
look:
  %references = load i64, ptr %array
  %single = icmp eq i64 %references, 1
  ret i1 %single
no:
  ret i1 false
}}

define internal i64 @choose(ptr %frame) {{
start:
  %table = load ptr, ptr %frame
  %rows.at = getelementptr ptr, ptr %frame, i64 7
  %rows = load ptr, ptr %rows.at
  %count.at = getelementptr i64, ptr %frame, i64 8
  %count = load i64, ptr %count.at
  br label %next
next:
  %i = phi i64 [ 0, %start ], [ %more, %found ]
  %end = icmp eq i64 %i, %count
  br i1 %end, label %good, label %one
one:
  %place = mul i64 %i, 7
  %row = getelementptr i64, ptr %rows, i64 %place
  %first.at = getelementptr i64, ptr %row, i64 3
  %first = load ptr, ptr %first.at
  %first.free = call i1 @free(ptr %first)
  br i1 %first.free, label %found, label %other
other:
  %second.at = getelementptr i64, ptr %row, i64 5
  %second = load ptr, ptr %second.at
  %second.free = call i1 @free(ptr %second)
  br i1 %second.free, label %found, label %bad
found:
  %array = phi ptr [ %first, %one ], [ %second, %other ]
  %array.at = phi ptr [ %first.at, %one ], [ %second.at, %other ]
  %chosen.at = getelementptr i64, ptr %row, i64 2
  store ptr %array, ptr %chosen.at
  %data.at = getelementptr i64, ptr %array.at, i64 1
  %data = load i64, ptr %data.at
  %slot.at = getelementptr i64, ptr %row, i64 1
  %slot = load i64, ptr %slot.at
  %entry = getelementptr i64, ptr %table, i64 %slot
  store i64 %data, ptr %entry
  %more = add i64 %i, 1
  br label %next
good:
  ret i64 0
bad:
  ret i64 1
}}

define void @finish(ptr %list, ptr %frame) {{
start:
  %api.at = getelementptr ptr, ptr %frame, i64 1
  %api = load ptr, ptr %api.at
  %outputs.at = getelementptr ptr, ptr %frame, i64 7
  %outputs = load ptr, ptr %outputs.at
  %outputs.count.at = getelementptr i64, ptr %frame, i64 8
  %outputs.count = load i64, ptr %outputs.count.at
  %same.at = getelementptr ptr, ptr %frame, i64 9
  %same = load ptr, ptr %same.at
  %same.count.at = getelementptr i64, ptr %frame, i64 10
  %same.count = load i64, ptr %same.count.at
  %held.at = getelementptr ptr, ptr %frame, i64 11
  %held = load ptr, ptr %held.at
  %held.count.at = getelementptr i64, ptr %frame, i64 12
  %held.count = load i64, ptr %held.count.at
  %number.from = getelementptr ptr, ptr %api, i64 2
  %as.number = load ptr, ptr %number.from
  %minus.at = getelementptr ptr, ptr %api, i64 7
  %minus = load ptr, ptr %minus.at
  %value.type.at = getelementptr ptr, ptr %api, i64 6
  %value.type = load ptr, ptr %value.type.at
  br label %out.next
out.next:
  %o = phi i64 [ 0, %start ], [ %o.more, %out ]
  %o.end = icmp eq i64 %o, %outputs.count
  br i1 %o.end, label %same.next, label %out
out:
  %o.row = mul i64 %o, 7
  %o.at = getelementptr i64, ptr %outputs, i64 %o.row
  %o.number = load i64, ptr %o.at
  %o.array.at = getelementptr i64, ptr %o.at, i64 2
  %o.array = load ptr, ptr %o.array.at
  %o.value = call ptr @value(ptr %list, i64 %o.number)
  %o.spot = getelementptr i8, ptr %o.value, i64 {buffer}
  call void @put(ptr %o.spot, ptr %o.array, ptr %api)
  %o.more = add i64 %o, 1
  br label %out.next
same.next:
  %s = phi i64 [ 0, %out.next ], [ %s.more, %one.same ]
  %s.end = icmp eq i64 %s, %same.count
  br i1 %s.end, label %held.next, label %one.same
one.same:
  %s.row = mul i64 %s, 3
  %s.at = getelementptr i64, ptr %same, i64 %s.row
  %s.number = load i64, ptr %s.at
  %s.source.at = getelementptr i64, ptr %s.at, i64 1
  %s.source = load i64, ptr %s.source.at
  %s.from = call ptr @value(ptr %list, i64 %s.source)
  %s.from.at = getelementptr i8, ptr %s.from, i64 {buffer}
  %s.array = load ptr, ptr %s.from.at
  %s.value = call ptr @value(ptr %list, i64 %s.number)
  %s.spot = getelementptr i8, ptr %s.value, i64 {buffer}
  call void @put(ptr %s.spot, ptr %s.array, ptr %api)
  %s.more = add i64 %s, 1
  br label %same.next
held.next:
  %h = phi i64 [ 0, %same.next ], [ %h.more, %held.done ]
  %h.end = icmp eq i64 %h, %held.count
  br i1 %h.end, label %end, label %one.held
one.held:
  %h.row = mul i64 %h, 3
  %h.at = getelementptr i64, ptr %held, i64 %h.row
  %h.number = load i64, ptr %h.at
  %h.value = call ptr @value(ptr %list, i64 %h.number)
  %h.type.at = getelementptr i8, ptr %h.value, i64 {word}
  %h.type = load ptr, ptr %h.type.at
  %h.known = icmp eq ptr %h.type, %value.type
  br i1 %h.known, label %look.held, label %held.done
look.held:
  %h.spot = getelementptr i8, ptr %h.value, i64 {pos}
  %h.pos = load ptr, ptr %h.spot
  %h.place = call i64 %as.number(ptr %h.pos)
  %h.in = icmp sge i64 %h.place, 0
  br i1 %h.in, label %leave, label %held.done
leave:
  call void @put(ptr %h.spot, ptr %minus, ptr %api)
  br label %held.done
held.done:
  %h.more = add i64 %h, 1
  br label %held.next
end:
  ret void
}}

define i64 @step(ptr %list, ptr %frame) {{
  %kept = call i64 @choose(ptr %frame)
  %full = icmp ne i64 %kept, 0
  br i1 %full, label %renew, label %bind
renew:
  ret i64 -1
bind:
  %missing = call i64 @bind(ptr %list, ptr %frame)
  %unbound = icmp ne i64 %missing, 0
  br i1 %unbound, label %unbindable, label %run
unbindable:
  ret i64 -2
run:
  %table = load ptr, ptr %frame
  %numbers.at = getelementptr ptr, ptr %frame, i64 2
  %numbers = load ptr, ptr %numbers.at
  %context.at = getelementptr ptr, ptr %frame, i64 3
  %context = load ptr, ptr %context.at
  %main.at = getelementptr ptr, ptr %frame, i64 4
  %main = load ptr, ptr %main.at
  %long.at = getelementptr i64, ptr %frame, i64 13
  %long.word = load i64, ptr %long.at
  %long = icmp ne i64 %long.word, 0
  %api.at = getelementptr ptr, ptr %frame, i64 1
  %api = load ptr, ptr %api.at
  br i1 %long, label %unlocked, label %locked
locked:
  %status.locked = call i32 %main(ptr %table, ptr %numbers, ptr %context)
  br label %done
unlocked:
  %save.at = getelementptr ptr, ptr %api, i64 9
  %save = load ptr, ptr %save.at
  %restore.at = getelementptr ptr, ptr %api, i64 10
  %restore = load ptr, ptr %restore.at
  %thread = call ptr %save()
  %status.unlocked = call i32 %main(ptr %table, ptr %numbers, ptr %context)
  call void %restore(ptr %thread)
  br label %done
done:
  %status = phi i32 [ %status.locked, %locked ], [ %status.unlocked, %unlocked ]
  %bad = icmp ne i32 %status, 0
  br i1 %bad, label %failed, label %good
failed:
  %which = sext i32 %status to i64
  ret i64 %which
good:
  call void @finish(ptr %list, ptr %frame)
  ret i64 0
}}

define i64 @append(ptr %list, ptr %rows, i64 %count, i64 %first, ptr %api) {{
start:
  %drop.at = getelementptr ptr, ptr %api, i64 1
  %drop = load ptr, ptr %drop.at
  %number.at = getelementptr ptr, ptr %api, i64 3
  %new.number = load ptr, ptr %number.at
  %append.at = getelementptr ptr, ptr %api, i64 4
  %add = load ptr, ptr %append.at
  %new.at = getelementptr ptr, ptr %api, i64 5
  %new = load ptr, ptr %new.at
  %type.at = getelementptr ptr, ptr %api, i64 6
  %type = load ptr, ptr %type.at
  %take = load ptr, ptr %api
  br label %next
next:
  %i = phi i64 [ 0, %start ], [ %more, %added ]
  %end = icmp eq i64 %i, %count
  br i1 %end, label %good, label %one
one:
  %value = call ptr %new(ptr %type, i64 0)
  %none = icmp eq ptr %value, null
  br i1 %none, label %bad, label %fill
fill:
  %row = mul i64 %i, 2
  %meta.at = getelementptr ptr, ptr %rows, i64 %row
  %meta = load ptr, ptr %meta.at
  call void %take(ptr %meta)
  %meta.spot = getelementptr i8, ptr %value, i64 {meta}
  store ptr %meta, ptr %meta.spot
  %buffer.at = getelementptr ptr, ptr %meta.at, i64 1
  %buffer = load ptr, ptr %buffer.at
  call void %take(ptr %buffer)
  %buffer.spot = getelementptr i8, ptr %value, i64 {buffer}
  store ptr %buffer, ptr %buffer.spot
  %place = add i64 %first, %i
  %pos = call ptr %new.number(i64 %place)
  %pos.spot = getelementptr i8, ptr %value, i64 {pos}
  store ptr %pos, ptr %pos.spot
  %status = call i32 %add(ptr %list, ptr %value)
  call void %drop(ptr %value)
  %more = add i64 %i, 1
  %refused = icmp ne i32 %status, 0
  br i1 %refused, label %bad, label %added
added:
  br label %next
good:
  ret i64 0
bad:
  ret i64 -1
}}

define i64 @entry(i64 %which) {{
  switch i64 %which, label %bind [ i64 1, label %finish
                                   i64 2, label %step
                                   i64 3, label %append ]
bind:
  ret i64 ptrtoint (ptr @bind to i64)
finish:
  ret i64 ptrtoint (ptr @finish to i64)
step:
  ret i64 ptrtoint (ptr @step to i64)
append:
  ret i64 ptrtoint (ptr @append to i64)
}}
"""
