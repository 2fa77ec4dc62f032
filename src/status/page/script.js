"use strict";{
const doc=document,$=id=>doc.getElementById(id),one=(what,of=doc)=>of.querySelector(what),all=(what,of=doc)=>[...of.querySelectorAll(what)];
const later=setTimeout,ticks=()=>performance.now(),put=(node,text)=>{if(node&&node.textContent!==text)node.textContent=text};

// Ago is by the box's clock: ours may be off.
let ahead;
const clock=page=>one(".now time",page),set=page=>ahead=Date.parse(clock().dateTime=clock(page).dateTime)-Date.now(),now=()=>Date.now()+ahead;
const exact=at=>{
 const d=new Date(at);
 return new Date(at-d.getTimezoneOffset()*6e4).toJSON().slice(0,10)+" "+d.toTimeString()};
const relative=(at,now)=>{
 for(const[unit,ms,least]of[["d",864e5,2],["h",36e5,2],["min",6e4,2],["s",1e3,1]]){
  const count=Math.floor(Math.abs(at-now)/ms);
  if(count>=least)return at<now?`${count} ${unit} ago`:`in ${count} ${unit}`}
 return"now"};
const tell=(page,now)=>{
 const today=exact(now);
 for(const time of all("time[datetime]",page)){
  const at=Date.parse(time.dateTime),text=exact(at),same=n=>text.slice(0,n)===today.slice(0,n);
  put(one("b",time),relative(at,now));
  put(one("i",time),text.slice(same(10)?11:same(4)?5:0,19));
  time.title=text}};

// Makes one like the other: an id stays the same element; what is folded, and where one types, is theirs.
const morph=(is,to)=>{
 if(is.isEqualNode(to))return;
 if(is.nodeType>1)return is.data=to.data;
 if(is!==doc.activeElement)for(const{name}of[...is.attributes,...to.attributes]){
  const value=to.getAttribute(name);
  if(name==="open")continue;
  if(value===null)is.removeAttribute(name);else if(is.getAttribute(name)!==value)is.setAttribute(name,value)}
 let at=is.firstChild;
 for(const next of[...to.childNodes]){
  const here=next.id?[...is.children].find(node=>node.id===next.id):at&&!at.id&&at;
  if(here?.nodeName!==next.nodeName){is.insertBefore(next,at);continue}
  if(here===at)at=at.nextSibling;else is.insertBefore(here,at);
  morph(here,next)}
 while(at){const gone=at;at=at.nextSibling;gone.remove()}};

const version=page=>one("footer",page).firstChild.data,problems=()=>one(".sum h1")?.textContent;
const marks=()=>new Map(all(".flow[id]").map(row=>[row,all(".st,time",row).map(e=>e.dateTime||e.className)+""]));
let shown=+$("live").dataset.change,seen=shown,ended=ticks(),pause=2e3,asked=0,events,timer,typing,heard,failed;
const show=page=>{
 if(version(page)!==version(doc))return location.reload();
 const before=marks(),count=problems(),focus=doc.activeElement,s=getSelection();
 const range=!s.isCollapsed&&[s.anchorNode,s.anchorOffset,s.focusNode,s.focusOffset];
 set(page);
 shown=+one("#live",page).dataset.change;
 tell(doc,now());
 tell(page,now());
 morph($("main"),one("main",page));
 doc.title=page.title;
 if(focus!==doc.activeElement)focus.focus({preventScroll:true});
 if(range&&s.anchorNode!==range[0])s.setBaseAndExtent(...range);
 if(!typing&&count!==problems())put($("said"),problems());
 for(const[row,mark]of marks())if(before.has(row)&&before.get(row)!==mark){
  row.classList.add("fresh");
  later(()=>row.classList.remove("fresh"),2e3)}};
const refresh=async()=>{
 const mine=++asked,begun=ticks();
 clearTimeout(timer);
 timer=-1;
 try{
  const answer=await fetch(location,{signal:AbortSignal.timeout(3e4)}),text=await answer.text();
  if(mine!==asked)return;
  show(new DOMParser().parseFromString(text,"text/html"));
  failed=0
 }catch{failed=1}
 if(mine!==asked)return;
 timer=typing=0;
 ended=ticks();
 // It takes at most a twentieth of anybody's time.
 pause=failed?1e4:Math.max(2e3,20*(ended-begun));
 say();
 if(failed||isLive()&&seen>shown)want()};
const want=()=>{if(!doc.hidden)timer||=later(refresh,ended+pause-ticks())};

const isLive=()=>events?.readyState===1&&!failed;
// The time beside it goes on only while it is.
const say=()=>put($("live"),isLive()?"live":"not live since");
const open=()=>{
 if(events||doc.hidden)return;
 events=new EventSource("/events");
 events.onopen=say;
 events.onerror=()=>{say();if(events.readyState>1){events=0;later(open,15e3)}};
 events.addEventListener("change",e=>{if((seen=+e.data)!==shown)want()});
 events.addEventListener("heard",e=>{
  const[agent,at]=JSON.parse(e.data).reduce((a,b)=>b[1]>a[1]?b:a,[0,0]),time=one("#heard time");
  if(time&&at){time.dateTime=new Date(at).toJSON();time.nextSibling.data=" from "+agent;tell($("heard"),now())}
  else if(heard&&heard!==e.data&&location.pathname==="/system")want();
  heard=e.data})};
const tick=()=>{
 if(doc.hidden)return;
 if(isLive())clock().dateTime=new Date(now()).toJSON();
 tell(doc,now());
 // Some of it changes with time alone.
 if(ticks()-ended>6e4)want()};
const search=()=>{typing=1;history.replaceState(0,"","?"+new URLSearchParams(new FormData($("q").form)));refresh()};

// Which part of the time the pointer is at, and what ran then.
const kinds={k:"succeeded",f:"failed",g:"failed",m:"failed",n:"failed",i:"cut short",o:"not ended",u:"not all on record"};
onpointermove=e=>{
 const strip=e.target.closest?.(".strip"),box=strip?.getBoundingClientRect();
 if(!box)return;
 const count=strip.viewBox.baseVal.width,part=Math.min(count-1,Math.max(0,Math.floor((e.clientX-box.left)/box.width*count)));
 const what=new Set,ms=count===96?9e5:864e5,begin=(Math.floor(now()/ms)-count+1+part)*ms;
 for(const path of strip.children){
  let at=0;
  for(const[,first,begin,long]of path.getAttribute("d").matchAll(/(M)?(\d+) [\d.]+h(\d+)/g)){
   at=+begin+(first?0:at);
   if(part>=at&&part<at+ +long)what.add(kinds[path.className.baseVal]);
   at+=+long}}
 strip.parentNode.title=(count===96?exact(begin).slice(0,16):new Date(begin).toJSON().slice(0,10))+": "+([...what].join(", ")||"nothing ran")};

doc.documentElement.className="js";
set(doc);
put($("zone"),Intl.DateTimeFormat().resolvedOptions().timeZone);
oninput=e=>{if(e.target.id==="q"){clearTimeout(typing);typing=later(search,200)}};
onsubmit=e=>{if(e.target===$("q")?.form){e.preventDefault();search()}};
doc.onvisibilitychange=()=>{if(doc.hidden)events&&=events.close();open();tick()};
setInterval(tick,1e3);
tick();
open()}
